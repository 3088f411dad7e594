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

#include "proxy/http/filter.h"
#include "proxy/http1/options.h"
#include "proxy/http2/session.h"
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
  ClientCert client_cert = ClientCert::Sanitize;
  ClientCertDetails client_cert_details;
  bool generate_request_id = true;
  bool preserve_external_request_id = false;
  bool always_set_request_id_in_response = false;
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
  uint64_t drain_timeout_ms = 5000;
  uint64_t delayed_close_timeout_ms = 1000;
  uint64_t idle_timeout_ms = 3'600'000;  // of the connection with no stream; 0: none
  uint64_t max_connection_duration_ms = 0;
  uint64_t max_stream_duration_ms = 0;
  uint32_t max_requests_per_connection = 0;  // 0: no bound
};

}  // namespace remora::connection_manager
