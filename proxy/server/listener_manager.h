// Every listener of the process, as the main thread knows it: static and LDS listeners, warming
// until their route configurations came, sockets, in-place updates and removals told to the
// workers. Owned by the Server; main thread only. Documents: "listener discovery service",
// "draining".
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/listener.pb.h"
#include "proxy/base/clock.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/net/listener_config.h"
#include "proxy/server/kept_message.h"
#include "proxy/server/publisher.h"
#include "proxy/server/route_manager.h"
#include "proxy/server/secret_manager.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "xds/subscription.h"
#include "xds/translate/context.h"

namespace remora::server {

struct ManagedListener {
  std::shared_ptr<const ListenerConfig> config;
  Kept<envoy::config::listener::v3::Listener> proto;
  bool is_static = false;
  std::string version;
  WallNs updated_at = 0;
  /// Bound, one per worker and address in that order, until the workers have them.
  std::vector<std::vector<Socket>> sockets;
  std::vector<Address>
      bound;  // actual addresses (port 0 resolved); as configured when it does not bind
};

class ListenerManager final : public xds::ResourceConsumer {
 public:
  ListenerManager(Publisher& publisher, RouteManager& routes, SecretManager& secrets,
                  EventLoop& loop, stats::Store& stats, xds::translate::Context& context,
                  uint64_t drain_time_ms);
  ~ListenerManager();

  /// A listener of the bootstrap. Fails on a duplicate name or address in use.
  absl::Status add_static(const envoy::config::listener::v3::Listener& proto,
                          std::shared_ptr<const ListenerConfig> config);

  /// --mode validate: the checks of add_static() without a socket.
  absl::Status check_static(
      const std::vector<std::shared_ptr<const ListenerConfig>>& configs) const;

  /// From here on warm listeners go to the workers as soon as they are warm.
  void start_workers();
  /// Calls `done` once: when every listener known by then is warm and, if `wait_for_lds`, LDS has
  /// answered (or timed out).
  void when_initialized(bool wait_for_lds, std::function<void()> done);

  /// /drain_listeners and SIGTERM.
  void drain(DrainScope scope, bool stop_accepting);

  const std::map<std::string, std::unique_ptr<ManagedListener>>& active() const { return active_; }
  const std::map<std::string, std::unique_ptr<ManagedListener>>& warming() const {
    return warming_;
  }
  const std::string& lds_version() const { return lds_version_; }
  const std::vector<xds::Reject>& last_rejected() const { return rejected_; }
  bool lds_answered() const { return lds_answered_; }

  // xds::ResourceConsumer, for LDS.
  std::vector<xds::Reject> on_resources(const xds::Update& update) override;
  void on_initial_fetch_timeout() override;

 private:
  absl::Status apply(const envoy::config::listener::v3::Listener& proto,
                     std::shared_ptr<const ListenerConfig> config, const std::string& version,
                     bool is_static);
  absl::Status check_address(const ListenerConfig& config) const;
  absl::Status bind(ManagedListener& listener);
  bool routes_settled(const ListenerConfig& config) const;
  bool secrets_settled(const ListenerConfig& config) const;
  void want_routes();
  void settle_warming();
  void publish(ManagedListener& listener);
  void remove(const std::string& name);
  void update_gauges();
  void count_draining();
  void check_initialized();

  Publisher& publisher_;
  RouteManager& routes_;
  SecretManager& secrets_;
  EventLoop& loop_;
  std::shared_ptr<stats::Group<stats::ListenerManagerSchema>> stats_;
  xds::translate::Context& context_;
  uint64_t drain_time_ms_;
  std::map<std::string, std::unique_ptr<ManagedListener>> active_;
  std::map<std::string, std::unique_ptr<ManagedListener>> warming_;
  std::vector<std::unique_ptr<Timer>> draining_;
  std::string lds_version_;
  std::vector<xds::Reject> rejected_;
  bool workers_started_ = false;
  bool lds_answered_ = false;
  bool wait_for_lds_ = false;
  std::function<void()> on_initialized_;
};

}  // namespace remora::server
