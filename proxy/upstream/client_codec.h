// Which client codec an upstream connection speaks: the one place that knows. Thread: the worker's.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http1/client_codec.h"
#include "proxy/http2/session.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/cluster_config.h"

namespace remora::upstream {

/// The codec for a connection that has just been established; `protocol` is not Auto any more.
/// `known_streams`: how many at once earlier connections to the same host could have.
std::unique_ptr<http::ClientCodec> make_client_codec(
    const ClusterConfig& config, HttpProtocol protocol, uint32_t known_streams,
    Connection& connection, http::ClientCodecHandler& handler, http2::SessionStats* stats,
    http1::KeepAliveListener* keep_alive = nullptr);

/// The names in ALPN of what the codec may speak, with commas.
std::string_view alpn_of(HttpProtocol protocol);

/// What Auto has come to.
HttpProtocol negotiated(std::string_view alpn);

const http2::SessionOptions& http2_options(const ClusterConfig& config);

/// How many streams a new connection will have room for at once.
uint32_t expected_streams(const ClusterConfig& config, HttpProtocol protocol);

}  // namespace remora::upstream
