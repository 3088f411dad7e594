// The TCP proxy: hands the bytes of a connection to a cluster and back. Slices move from one
// connection's read buffer to the other's write buffer; a side that does not take its bytes stops
// the reading of the other. Owned by the downstream connection; that worker's thread only.
// Document: envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/timer_wheel.h"
#include "proxy/http/stream_info.h"
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
  };

  std::string cluster;  // empty when weighted
  std::vector<WeightedCluster> weighted;
  uint64_t total_weight = 0;
  uint64_t idle_timeout_ms = 3'600'000;  // 0: none
  uint64_t max_connection_duration_ms = 0;
  uint32_t max_connect_attempts = 1;
  std::vector<std::shared_ptr<telemetry::AccessLog>> access_logs;
  std::shared_ptr<stats::Group<stats::TcpSchema>> stats;

  /// The cluster of a connection; `random` decides among weighted ones.
  const std::string& cluster_for(uint64_t random) const;
};

class TcpProxy final : public NetworkFilter, private upstream::TcpWaiter {
 public:
  TcpProxy(std::shared_ptr<const Config> config, NetworkFilterContext& context);
  ~TcpProxy() override;

  // --- NetworkFilter: the client's side ---
  Status on_new_connection() override;
  Status on_data(Buffer& data, bool end_stream) override;
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

  // --- TcpWaiter ---
  void on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) override;
  void on_tcp_failure(upstream::PoolFailure failure, std::string_view detail,
                      const upstream::HostPtr& host) override;

  void connect();
  void give_up(http::ResponseFlag flag);
  void on_idle();
  void on_duration_reached();
  void active();
  void count_bytes();
  void log(CloseCause cause);
  uint64_t bytes_moved() const;

  const std::shared_ptr<const Config> config_;
  NetworkFilterContext& context_;
  Connection& client_;
  stats::Slab<stats::TcpSchema>& stats_;
  http::StreamInfo info_;
  upstream::ClusterPin cluster_;
  upstream::HostPtr host_;
  std::unique_ptr<upstream::PendingRequest> connecting_;
  Upstream upstream_side_;
  std::unique_ptr<upstream::TcpConnection> upstream_;  // from connected to closed
  uint32_t attempts_ = 0;
  uint64_t rx_counted_ = 0;
  uint64_t tx_counted_ = 0;
  uint64_t moved_when_armed_ = 0;
  std::string failure_detail_;
  Timer idle_;
  Timer duration_;
};

class TcpProxyFactory final : public NetworkFilterFactory {
 public:
  explicit TcpProxyFactory(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::unique_ptr<NetworkFilter> make(NetworkFilterContext& context) const override;
  bool terminal() const override { return true; }
  const Config& config() const { return *config_; }

 private:
  const std::shared_ptr<const Config> config_;
};

}  // namespace remora::tcp_proxy
