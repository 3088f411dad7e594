// Which client codec an upstream connection speaks: the one place that knows. Thread: the worker's.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster_config.h"

namespace remora::upstream {

/// The codec for a connection that has just been established.
std::unique_ptr<http::ClientCodec> make_client_codec(const ClusterConfig& config,
                                                     Connection& connection,
                                                     http::ClientCodecHandler& handler);

/// The name in ALPN of what the codec speaks.
std::string_view alpn_of(const ClusterConfig& config);

/// How many streams a new connection will have room for at once.
uint32_t expected_streams(const ClusterConfig& config);

}  // namespace remora::upstream
