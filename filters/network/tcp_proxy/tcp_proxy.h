// The TCP proxy: hands the bytes of a connection to a cluster and back. Slices move from one
// connection's read buffer to the other's write buffer; a side that does not take its bytes stops
// the reading of the other. Owned by the downstream connection; that worker's thread only.
// Document: envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "filters/network/tcp_proxy/tunnel.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/http/failure.h"
#include "proxy/net/filter.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/tcp_pool.h"

namespace remora::telemetry {
class AccessLog;
}

namespace remora::tcp_proxy {

struct Config {
  struct WeightedCluster {
    std::string name;
    uint32_t weight = 0;
    /// With what the filter asks besides; null: nothing.
    std::shared_ptr<const upstream::MetadataCriteria> metadata_match;
  };

  std::string cluster;  // empty when weighted
  std::vector<WeightedCluster> weighted;
  uint64_t total_weight = 0;
  std::shared_ptr<const upstream::MetadataCriteria> metadata_match;  // null: any host will do
  uint64_t idle_timeout_ms = 3'600'000;                              // 0: none
  uint64_t max_connection_duration_ms = 0;                           // 0: none
  uint32_t max_connect_attempts = 1;
  bool hash_source_ip = false;  // for clusters that choose hosts by a hash
  std::vector<std::shared_ptr<telemetry::AccessLog>> access_logs;
  bool log_on_connected = false;
  uint64_t log_interval_ms = 0;                   // 0: none
  std::shared_ptr<const TunnelConfig> tunneling;  // null: straight to the cluster's hosts
  std::shared_ptr<stats::Group<stats::TcpSchema>> stats;

  struct Destination {
    const std::string& cluster;
    const upstream::MetadataCriteria* metadata;  // null: any host will do
  };
  /// Of a connection; `random` decides among weighted ones.
  Destination destination(uint64_t random) const;
};

class TcpProxy final : public NetworkFilter, private upstream::TcpWaiter, private Tunnel::User {
 public:
  /// `config` is part of the configuration that the connection pins.
  TcpProxy(const Config& config, NetworkFilterContext& context);
  ~TcpProxy() override;

  // --- NetworkFilter: the client's side ---
  Status on_new_connection() override;
  Status on_data(Buffer& data, bool end_stream) override;
  void on_written(size_t bytes) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override;
  void on_write_low_water() override;

 private:
  /// The upstream's side, kept apart because both have an on_data().
  class Upstream final : public ConnectionHandler {
   public:
    explicit Upstream(TcpProxy& proxy) : proxy_(proxy) {}
    void on_connected() override {}
    void on_data(Buffer& data, bool end_stream) override;
    void on_closed(CloseCause cause) override;
    void on_write_high_water() override;
    void on_write_low_water() override;
    void on_written(size_t bytes) override;

   private:
    TcpProxy& proxy_;
  };

  /// After the upstream has gone: what becomes of the client once it has everything.
  enum class Ending : uint8_t { None, Close, Reset };

  // --- TcpWaiter ---
  void on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) override;
  void on_tcp_failure(upstream::PoolFailure failure, std::string_view detail,
                      const upstream::HostPtr& host) override;

  // --- Tunnel::User (tunneled_session.cc) ---
  void on_tunnel_open() override;
  void on_tunnel_failed(std::string_view detail) override;
  void on_tunnel_data(Buffer& data, bool end_stream) override;
  void on_tunnel_broken() override;
  void on_tunnel_high_water() override { stop_client(); }
  void on_tunnel_low_water() override { let_client_go_on(); }
  bool start_tunnel(upstream::HostPtr host, const upstream::ConnectionNeeds& needs);
  void drop_tunnel();

  void connect();
  void connect_failed(std::string_view detail, const upstream::HostPtr& host);
  void begin_relay(const Connection& server);
  bool relaying() const { return upstream_ != nullptr || (tunnel_ != nullptr && tunnel_->open()); }
  void stop_client();
  void let_client_go_on();
  void give_up(http::ResponseFlag flag);
  void forward(Buffer& data, bool end_stream);
  void end_client(Ending how);
  void on_client_served();
  void end_upstream(CloseCause cause);

  void active();
  void on_idle();
  void on_duration_reached();
  void on_log_interval();

  void count_bytes();
  void count_buffered(size_t received, size_t to_send);
  http::StreamInfo facts() const;
  void log();

  const Config& config_;
  NetworkFilterContext& context_;
  Connection& client_;
  stats::Slab<stats::TcpSchema>& stats_;
  upstream::ClusterPin cluster_;
  const std::string* cluster_name_ = nullptr;  // once there was such a cluster
  upstream::HostPtr host_;
  std::unique_ptr<upstream::PendingRequest> connecting_;
  Upstream upstream_side_;
  std::unique_ptr<upstream::TcpConnection> upstream_;  // from connected to closed
  std::unique_ptr<Tunnel> tunnel_;                     // instead, where the configuration wants one
  uint32_t attempts_ = 0;
  Ending ending_ = Ending::None;
  http::ResponseFlags flags_;
  uint64_t rx_counted_ = 0;
  uint64_t tx_counted_ = 0;
  size_t rx_buffered_ = 0;
  size_t tx_buffered_ = 0;
  const uint64_t start_us_;
  uint64_t upstream_id_ = 0;
  Address upstream_local_;  // known only where it is logged
  std::string failure_detail_;
  Timer idle_;
  Timer duration_;
  std::unique_ptr<Timer> log_timer_;  // only when asked for
};

class TcpProxyFactory final : public NetworkFilterFactory {
 public:
  explicit TcpProxyFactory(Config config) : config_(std::move(config)) {}
  std::unique_ptr<NetworkFilter> make(NetworkFilterContext& context) const override;
  bool terminal() const override { return true; }
  const Config& config() const { return config_; }

 private:
  const Config config_;
};

}  // namespace remora::tcp_proxy
