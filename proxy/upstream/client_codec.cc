// The choice of codec by the cluster's protocol.
#include "proxy/upstream/client_codec.h"

#include <algorithm>

#include "proxy/http2/client_codec.h"

namespace remora::upstream {

const http2::SessionOptions& http2_options(const ClusterConfig& config) {
  static const http2::SessionOptions kDefaults;
  return config.http2 == nullptr ? kDefaults : *config.http2;
}

std::unique_ptr<http::ClientCodec> make_client_codec(const ClusterConfig& config,
                                                     HttpProtocol protocol, uint32_t known_streams,
                                                     Connection& connection,
                                                     http::ClientCodecHandler& handler,
                                                     http2::SessionStats* stats,
                                                     http1::KeepAliveListener* keep_alive) {
  if (protocol == HttpProtocol::Http2) {
    http2::SessionOptions options = http2_options(config);
    options.first_max_streams = std::min(known_streams, options.first_max_streams);
    return std::make_unique<http2::ClientCodec>(connection, handler, options,
                                                config.per_connection_buffer_limit, stats);
  }
  http1::ClientOptions options;
  options.enable_trailers = config.http1_enable_trailers;
  options.limits.max_fields = config.max_response_headers;
  if (config.max_response_header_bytes > 0) {
    options.limits.max_bytes = config.max_response_header_bytes;
  }
  options.full_url = config.http1_full_url;
  options.names = config.http1_names;
  return std::make_unique<http1::ClientCodec>(connection, handler, options, keep_alive);
}

std::string_view alpn_of(HttpProtocol protocol) {
  switch (protocol) {
    case HttpProtocol::Http1:
      return "http/1.1";
    case HttpProtocol::Http2:
      return "h2";
    case HttpProtocol::Auto:
      return "h2,http/1.1";
  }
  return {};
}

HttpProtocol negotiated(std::string_view alpn) {
  return alpn == "h2" ? HttpProtocol::Http2 : HttpProtocol::Http1;
}

uint32_t expected_streams(const ClusterConfig& config, HttpProtocol protocol) {
  return protocol == HttpProtocol::Http1 ? 1 : http2_options(config).max_concurrent_streams;
}

}  // namespace remora::upstream
