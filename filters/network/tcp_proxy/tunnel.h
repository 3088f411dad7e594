// A session's way to its server through another proxy: the answer to a CONNECT (or a POST) over the
// cluster's HTTP connections, whichever HTTP it speaks. Owned by the session; its worker's thread
// only. Document: envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/arena.h"
#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/http/stream_info.h"
#include "proxy/telemetry/log_format.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/http_pool.h"

namespace remora::tcp_proxy {

struct TunnelConfig {
  struct Header {
    std::string name;  // lower case
    telemetry::LogFormat value;
    bool overwrite = false;
    bool only_if_there = false;
    bool add_if_absent = false;
    bool keep_empty = false;
  };

  telemetry::LogFormat host;  // of the request
  std::string post_path;      // empty: CONNECT
  std::vector<Header> headers;
};

class Tunnel final : public Deferrable,
                     private upstream::HttpPoolWaiter,
                     private http::StreamReceiver {
 public:
  /// The session. May give up the tunnel from inside a call, but not destroy it.
  class User {
   public:
    /// The proxy behind has agreed.
    virtual void on_tunnel_open() = 0;
    /// It has not, or there is no connection to it.
    virtual void on_tunnel_failed(std::string_view detail) = 0;
    virtual void on_tunnel_data(Buffer& data, bool end_stream) = 0;
    /// An open tunnel was broken off.
    virtual void on_tunnel_broken() = 0;
    /// What was sent does not leave, and leaves again.
    virtual void on_tunnel_high_water() = 0;
    virtual void on_tunnel_low_water() = 0;

   protected:
    ~User() = default;
  };

  Tunnel(User& user, const TunnelConfig& config, BlockPool& blocks);
  ~Tunnel() override { give_up(); }

  /// Makes the request from what is known of the session. False: it would be none.
  bool prepare(const http::StreamInfo& session);
  /// Asks for a connection. False: a circuit breaker is open.
  bool start(upstream::Cluster& cluster, const upstream::HostPtr& host,
             const upstream::ConnectionNeeds& needs);
  /// Ends it quietly, whatever is under way.
  void give_up();

  bool open() const { return open_; }
  bool server_ended() const { return response_ended_; }
  void send(Buffer& data, bool end_stream);
  void pause_receiving() {
    if (sender_ != nullptr) sender_->pause_receiving();
  }
  void resume_receiving() {
    if (sender_ != nullptr) sender_->resume_receiving();
  }
  const upstream::HostPtr& host() const { return host_; }
  /// Null before there is one.
  Connection* connection() { return connection_; }

 private:
  // --- HttpPoolWaiter ---
  void on_pool_ready(upstream::HttpConnection& connection) override;
  void on_pool_failure(upstream::PoolFailure failure, std::string_view detail,
                       const upstream::HostPtr& host) override;
  // --- StreamReceiver ---
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_trailers(http::HeaderMap& trailers) override;
  void on_reset(http::ResetReason reason, std::string_view detail) override;
  void on_send_high_water() override { user_.on_tunnel_high_water(); }
  void on_send_low_water() override { user_.on_tunnel_low_water(); }

  bool add_header(const TunnelConfig::Header& header, const http::StreamInfo& session);
  void complete_when_done();

  User& user_;
  const TunnelConfig& config_;
  Arena arena_;
  http::HeaderMap request_;
  Buffer nothing_;
  upstream::HostPtr host_;
  std::unique_ptr<upstream::PendingRequest> pending_;
  Connection* connection_ = nullptr;
  http::StreamSender* sender_ = nullptr;  // null before it has a connection and once it is over
  bool open_ = false;
  bool request_ended_ = false;
  bool response_ended_ = false;
};

}  // namespace remora::tcp_proxy
