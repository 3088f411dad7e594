// The choice of codec by the cluster's protocol.
#include "proxy/upstream/client_codec.h"

#include "proxy/http1/client_codec.h"

namespace remora::upstream {

std::unique_ptr<http::ClientCodec> make_client_codec(const ClusterConfig& config,
                                                     Connection& connection,
                                                     http::ClientCodecHandler& handler) {
  return std::make_unique<http1::ClientCodec>(connection, handler, http1::ClientOptions());
}

uint32_t expected_streams(const ClusterConfig& config) {
  return config.protocol == HttpProtocol::Http2 ? config.http2_max_concurrent_streams : 1;
}

}  // namespace remora::upstream
