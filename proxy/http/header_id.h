// Well-known header names as small integers. Names are lower case inside the proxy.
// CONTRACT (additive: append names freely).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace remora::http {

// clang-format off
#define REMORA_HEADER_IDS(X)                                                                    \
  /* pseudo-headers, present in the map for requests and responses of every codec */            \
  X(Method, ":method") X(Path, ":path") X(Authority, ":authority") X(Scheme, ":scheme")         \
  X(Status, ":status") X(Protocol, ":protocol")                                                 \
  /* fields */                                                                                  \
  X(Host, "host") X(Connection, "connection") X(KeepAlive, "keep-alive")                        \
  X(ProxyConnection, "proxy-connection") X(TransferEncoding, "transfer-encoding")               \
  X(ContentLength, "content-length") X(Te, "te") X(Trailer, "trailer") X(Upgrade, "upgrade")    \
  X(Http2Settings, "http2-settings") X(Expect, "expect") X(ContentType, "content-type")         \
  X(ContentEncoding, "content-encoding") X(AcceptEncoding, "accept-encoding")                   \
  X(Accept, "accept") X(Vary, "vary") X(Etag, "etag") X(CacheControl, "cache-control")          \
  X(Date, "date") X(Server, "server") X(Via, "via") X(Location, "location")                     \
  X(Cookie, "cookie") X(SetCookie, "set-cookie") X(UserAgent, "user-agent")                     \
  X(Referer, "referer") X(Origin, "origin") X(Authorization, "authorization")                   \
  X(ProxyAuthorization, "proxy-authorization") X(ProxyAuthenticate, "proxy-authenticate")       \
  X(AccessControlRequestMethod, "access-control-request-method")                                \
  X(RetryAfter, "retry-after") X(Forwarded, "forwarded")                                        \
  X(XRequestId, "x-request-id") X(XForwardedFor, "x-forwarded-for")                             \
  X(XForwardedProto, "x-forwarded-proto") X(XForwardedHost, "x-forwarded-host")                 \
  X(XForwardedPort, "x-forwarded-port")                                                         \
  X(XForwardedClientCert, "x-forwarded-client-cert")                                            \
  X(XEnvoyInternal, "x-envoy-internal") X(XEnvoyExternalAddress, "x-envoy-external-address")    \
  X(XEnvoyOriginalPath, "x-envoy-original-path") X(XEnvoyOriginalHost, "x-envoy-original-host") \
  X(XEnvoyOriginalMethod, "x-envoy-original-method")                                            \
  X(XEnvoyAttemptCount, "x-envoy-attempt-count")                                                \
  X(XEnvoyUpstreamServiceTime, "x-envoy-upstream-service-time")                                 \
  X(XEnvoyUpstreamRqTimeoutMs, "x-envoy-upstream-rq-timeout-ms")                                \
  X(XEnvoyUpstreamRqPerTryTimeoutMs, "x-envoy-upstream-rq-per-try-timeout-ms")                  \
  X(XEnvoyUpstreamRqTimeoutAltResponse, "x-envoy-upstream-rq-timeout-alt-response")             \
  X(XEnvoyExpectedRqTimeoutMs, "x-envoy-expected-rq-timeout-ms")                                \
  X(XEnvoyUpstreamAltStatName, "x-envoy-upstream-alt-stat-name")                                \
  X(XEnvoyUpstreamStreamDurationMs, "x-envoy-upstream-stream-duration-ms")                      \
  X(XEnvoyMaxRetries, "x-envoy-max-retries") X(XEnvoyRetryOn, "x-envoy-retry-on")               \
  X(XEnvoyRetryGrpcOn, "x-envoy-retry-grpc-on")                                                 \
  X(XEnvoyRetriableStatusCodes, "x-envoy-retriable-status-codes")                               \
  X(XEnvoyRetriableHeaderNames, "x-envoy-retriable-header-names")                               \
  X(XEnvoyHedgeOnPerTryTimeout, "x-envoy-hedge-on-per-try-timeout")                             \
  X(XEnvoyIpTags, "x-envoy-ip-tags") X(XEnvoyForceTrace, "x-envoy-force-trace")                 \
  X(XEnvoyDecoratorOperation, "x-envoy-decorator-operation")                                    \
  X(XEnvoyOverloaded, "x-envoy-overloaded") X(XEnvoyRateLimited, "x-envoy-ratelimited")         \
  X(XEnvoyUpstreamCanary, "x-envoy-upstream-canary")                                            \
  X(XEnvoyImmediateHealthCheckFail, "x-envoy-immediate-health-check-fail")                      \
  X(XEnvoyDegraded, "x-envoy-degraded") X(XEnvoyLocalOverloaded, "x-envoy-local-overloaded")    \
  X(XEnvoyDownstreamServiceCluster, "x-envoy-downstream-service-cluster")                       \
  X(XEnvoyDownstreamServiceNode, "x-envoy-downstream-service-node")                             \
  X(XEnvoyPeerMetadata, "x-envoy-peer-metadata") X(XEnvoyPeerMetadataId, "x-envoy-peer-metadata-id") \
  X(XClientTraceId, "x-client-trace-id") X(XB3TraceId, "x-b3-traceid") X(Traceparent, "traceparent") \
  X(Tracestate, "tracestate") X(GrpcStatus, "grpc-status") X(GrpcMessage, "grpc-message")       \
  X(GrpcTimeout, "grpc-timeout") X(GrpcEncoding, "grpc-encoding")
// clang-format on

enum class HeaderId : uint8_t {
  Other = 0,  // any name that is not in the table
#define X(id, name) id,
  REMORA_HEADER_IDS(X)
#undef X
      kCount
};

inline constexpr size_t kHeaderIds = static_cast<size_t>(HeaderId::kCount);

/// The id of a lower-case name; Other when it is not in the table. One perfect-hash-like probe.
HeaderId header_id_of(std::string_view lower_case_name);
/// The name of a well-known id; empty for Other.
std::string_view header_name(HeaderId id);
inline bool is_pseudo(HeaderId id) { return id >= HeaderId::Method && id <= HeaderId::Protocol; }

}  // namespace remora::http
