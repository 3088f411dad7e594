// The choice of codec by the cluster's protocol.
#include "proxy/upstream/client_codec.h"

#include "proxy/http1/client_codec.h"
#include "proxy/http2/client_codec.h"

namespace remora::upstream {

std::unique_ptr<http::ClientCodec> make_client_codec(const ClusterConfig& config,
                                                     Connection& connection,
                                                     http::ClientCodecHandler& handler) {
  if (config.protocol == HttpProtocol::Http2) {
    http2::SessionOptions options;
    options.max_concurrent_streams = config.http2_max_concurrent_streams;
    return std::make_unique<http2::ClientCodec>(connection, handler, options,
                                                config.per_connection_buffer_limit);
  }
  http1::ClientOptions options;
  options.enable_trailers = config.http1_enable_trailers;
  options.full_url = config.http1_full_url;
  options.names = config.http1_names;
  return std::make_unique<http1::ClientCodec>(connection, handler, options);
}

std::string_view alpn_of(const ClusterConfig& config) {
  return config.protocol == HttpProtocol::Http2 ? "h2" : "http/1.1";
}

uint32_t expected_streams(const ClusterConfig& config) {
  return config.protocol == HttpProtocol::Http2 ? config.http2_max_concurrent_streams : 1;
}

}  // namespace remora::upstream
