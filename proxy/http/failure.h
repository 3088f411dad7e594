// The one table of the ways in which a request or connection can fail: status, Envoy response flag,
// response-code detail and body. Nothing sends a local answer without an entry (or a variation of
// one). CONTRACT (additive).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/grpc.h"

namespace remora::http {

/// Envoy's response flags; names as its access log prints them.
enum class ResponseFlag : uint8_t {
  LH,
  UH,
  UT,
  LR,
  UR,
  UF,
  UC,
  UO,
  NR,
  DI,
  FI,
  RL,
  UAEX,
  RLSE,
  DC,
  URX,
  SI,
  IH,
  DPE,
  UMSDR,
  RFCF,
  NFCF,
  DT,
  UPE,
  NC,
  OM,
  DF,
  DO,
  DR,
  UDO,
  kCount
};

/// A set of flags.
class ResponseFlags {
 public:
  void set(ResponseFlag f) { bits_ |= 1ull << static_cast<int>(f); }
  bool has(ResponseFlag f) const { return bits_ >> static_cast<int>(f) & 1; }
  bool any() const { return bits_ != 0; }
  uint64_t bits() const { return bits_; }
  std::string short_text() const;  // "UF,URX", "-" when empty
  std::string long_text() const;   // "UpstreamConnectionFailure,..."
 private:
  uint64_t bits_ = 0;
};
std::string_view short_name(ResponseFlag f);
std::string_view long_name(ResponseFlag f);
/// The flag of a short name, or kCount.
ResponseFlag response_flag_of(std::string_view short_name);

inline constexpr ResponseFlag kNoFlag = ResponseFlag::kCount;

struct Failure {
  uint16_t status;                             // 0: no answer can be sent, the connection closes
  ResponseFlag flag;                           // kNoFlag: none
  std::string_view details;                    // %RESPONSE_CODE_DETAILS%
  std::string_view body;                       // text/plain body of the local answer; may be empty
  std::optional<GrpcStatus> grpc_status = {};  // for gRPC requests; none: what `status` stands for
};

/// Known failures; bodies and details are Envoy's.
namespace failures {
extern const Failure kRouteNotFound;      // 404 NR route_not_found
extern const Failure kClusterNotFound;    // 503 NC cluster_not_found
extern const Failure kNoHealthyUpstream;  // 503 UH no_healthy_upstream "no healthy upstream"
extern const Failure
    kUpstreamConnectFailed;  // 503 UF
                             // upstream_reset_before_response_started{remote_connection_failure}
extern const Failure
    kUpstreamConnectTimeout;  // 503 UF upstream_reset_before_response_started{connection_timeout}
extern const Failure
    kUpstreamReset;  // 503 UC "upstream connect error or disconnect/reset before headers. ..."
extern const Failure
    kUpstreamRemoteReset;  // 503 UR upstream_reset_before_response_started{remote_reset}
extern const Failure kUpstreamOverflow;       // 503 UO
extern const Failure kUpstreamTimeout;        // 504 UT response_timeout "upstream request timeout"
extern const Failure kUpstreamPerTryTimeout;  // 504 UT upstream_per_try_timeout
extern const Failure kUpstreamPerTryIdleTimeout;  // 504 UT upstream_per_try_idle_timeout
extern const Failure
    kUpstreamProtocolError;  // 502 UPE upstream_reset_before_response_started{protocol_error}
extern const Failure kStreamIdleTimeout;      // 408 SI stream_idle_timeout "stream timeout"
extern const Failure kRequestTimeout;         // 408 request_overall_timeout "request timeout"
extern const Failure kRequestHeadersTimeout;  // 408 request_header_timeout
extern const Failure kMaxStreamDuration;  // 408 max_duration_timeout "downstream duration timeout"
extern const Failure kUpstreamMaxStreamDuration;  // 408 UMSDR upstream_max_stream_duration_reached
extern const Failure kMissingHost;                // 400 missing_host_header
extern const Failure kMissingPath;                // 400 missing_path_rejected
extern const Failure kAbsolutePath;               // 404 absolute_path_rejected
extern const Failure kPathNormalization;          // 400 path_normalization_failed
extern const Failure kUpgradeFailed;              // 403 upgrade_failed
extern const Failure kExpectationFailed;          // 417
extern const Failure kPayloadTooLarge;            // 413 request_payload_too_large
extern const Failure kResponseTooLarge;           // 500 response_payload_too_large
extern const Failure kHeadersTooLarge;            // 431
extern const Failure kLowVersion;                 // 426 low_version
extern const Failure kFilterChainNotFound;        // 500 filter_chain_not_found
extern const Failure kDownstreamDisconnect;       // 0 DC downstream_remote_disconnect
extern const Failure kDownstreamProtocolError;    // 400 DPE http1.codec_error
extern const Failure kOverload;                   // 503 OM overload
}  // namespace failures

}  // namespace remora::http
