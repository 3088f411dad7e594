// The HTTP connection manager's configuration as compiled from xDS: immutable, shared by the
// workers. Document:
// envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager. CONTRACT
// (additive).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/connection_manager/header_mutation.h"
#include "proxy/connection_manager/ip_detection.h"
#include "proxy/connection_manager/local_replies.h"
#include "proxy/http/filter.h"
#include "proxy/http1/options.h"
#include "proxy/http2/session_options.h"
#include "proxy/net/address.h"
#include "proxy/net/config_source.h"
#include "proxy/router/route_table.h"

namespace remora::telemetry {
class AccessLog;
}
namespace remora::stats {
class Store;
}

namespace remora::connection_manager {

struct HttpFilterConfig {
  std::string name;
  std::shared_ptr<const http::FilterFactory> factory;
  std::string_view route_type = {};  // of its overrides by routes; static memory
};

struct HttpConfig {
  enum class Codec : uint8_t { Auto, Http1, Http2 };
  enum class ServerHeader : uint8_t { Overwrite, AppendIfAbsent, PassThrough };
  enum class ClientCert : uint8_t {
    Sanitize,
    ForwardOnly,
    AppendForward,
    SanitizeSet,
    AlwaysForwardOnly
  };
  /// What x-forwarded-client-cert tells besides who vouches for it and the certificate's hash.
  struct ClientCertDetails {
    bool subject = false, cert = false, chain = false, dns = false, uri = false;
  };
  /// How many of `kOf` requests are traced: of those whose client wants it, of all others, and at
  /// most of all.
  struct TraceShares {
    static constexpr uint32_t kOf = 10'000;
    uint32_t client = kOf, random = kOf, overall = kOf;
  };
  enum class EscapedSlashes : uint8_t { Keep, Reject, UnescapeAndRedirect, UnescapeAndForward };

  std::string stat_prefix;
  Codec codec = Codec::Auto;
  http1::Options http1;
  http2::SessionOptions http2;
  // Routes: inline, or the name of a route configuration that RDS fills (then `routes` is null).
  std::shared_ptr<const router::RouteTable> routes;
  std::string rds_name;
  ConfigSource rds_source;
  std::vector<HttpFilterConfig> filters;  // last one terminal (router)
  std::vector<router::UpgradeSetting> upgrades;
  std::vector<std::shared_ptr<telemetry::AccessLog>> access_logs;
  // Entries besides the one at a request's end.
  bool log_new_requests = false;
  bool log_new_tunnels = false;
  uint64_t log_interval_ms = 0;                       // 0: none
  std::shared_ptr<const LocalReplies> local_replies;  // null: answers stay as they are

  ServerHeader server_header = ServerHeader::Overwrite;
  std::string server_name = "envoy";
  std::string via;
  bool use_remote_address = false;
  uint32_t xff_num_trusted_hops = 0;
  // internal_address_config. Empty ranges: no request is internal, Envoy's default.
  std::vector<CidrRange> internal_ranges;
  bool internal_unix_sockets = false;
  // What x-forwarded-for says of a loopback peer: this machine's address
  // (--local-address-ip-version).
  std::string local_address = "127.0.0.1";
  bool skip_xff_append = false;
  std::vector<IpDetection> ip_detections;  // none: use_remote_address and its kin decide
  std::vector<HeaderMutation> early_mutations;
  std::string scheme_to_overwrite;  // empty: :scheme is what x-forwarded-proto says
  bool scheme_matches_upstream = false;
  // Ports that clients mean https or http by, when somebody in front told the destination.
  std::vector<uint16_t> https_ports, http_ports;
  bool append_x_forwarded_port = false;
  std::string user_agent;   // add_user_agent: this cluster's name
  std::string own_node_id;  // told with it
  ClientCert client_cert = ClientCert::Sanitize;
  ClientCertDetails client_cert_details;
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
  std::optional<TraceShares> tracing;  // none: nothing is traced
  bool packs_trace_reason = true;
  bool samples_by_request_id = true;
  bool normalize_path = false;
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::Keep;
  bool strip_any_host_port = false;
  bool strip_matching_host_port = false;
  bool strip_trailing_host_dot = false;
  bool proxy_100_continue = false;
  bool stream_error_on_invalid_http_message = false;
  uint64_t stream_idle_timeout_ms = 300'000;  // 0: none
  uint64_t request_timeout_ms = 0;
  uint64_t request_headers_timeout_ms = 0;
  uint64_t stream_flush_timeout_ms = 300'000;  // 0: none
  uint64_t drain_timeout_ms = 5000;
  uint64_t drain_jitter_ms = 0;  // at most this much longer
  uint64_t delayed_close_timeout_ms = 1000;
  uint64_t idle_timeout_ms = 3'600'000;  // of the connection with no stream; 0: none
  uint64_t max_connection_duration_ms = 0;
  uint64_t max_connection_jitter_ms = 0;  // at most this much longer
  // HTTP/1 connections end with the next response instead of while one may be on its way.
  bool safe_max_connection_duration = false;
  uint64_t max_stream_duration_ms = 0;
  uint32_t max_requests_per_connection = 0;  // 0: no bound
};

}  // namespace remora::connection_manager
