// Role-based access control of connections: closes those that the policies do not allow. One per
// connection, owned by its filter chain; its worker's thread. Document:
// envoy.extensions.filters.network.rbac.v3.RBAC.
#pragma once

#include <cstdint>
#include <memory>

#include "proxy/base/timer_wheel.h"
#include "proxy/net/filter.h"
#include "proxy/policy/enforcement.h"

namespace remora::rbac {

struct NetworkRbacConfig {
  enum class When : uint8_t { Once, Continuously };

  std::shared_ptr<const policy::Engine> enforced, shadow;  // null: none
  policy::DecisionKeys shadow_keys;
  policy::DecisionCounters enforced_counters, shadow_counters;
  When when = When::Once;
  uint64_t delay_deny_ms = 0;
  /// Decided before the first byte: a connection that is refused never reaches what is behind.
  bool at_once = true;
};

class NetworkRbac final : public NetworkFilter {
 public:
  NetworkRbac(const NetworkRbacConfig& config, NetworkFilterContext& context);

  Status on_new_connection() override;
  Status on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;

 private:
  Status decide();
  Status deny(const policy::Decision& decision);
  void close();

  const NetworkRbacConfig& config_;
  NetworkFilterContext& context_;
  bool decided_ = false;
  bool denied_ = false;
  std::unique_ptr<Timer> delay_;  // only while a refusal is delayed
};

class NetworkRbacFactory final : public NetworkFilterFactory {
 public:
  explicit NetworkRbacFactory(NetworkRbacConfig config) : config_(std::move(config)) {}
  std::unique_ptr<NetworkFilter> make(NetworkFilterContext& context) const override {
    return std::make_unique<NetworkRbac>(config_, context);
  }
  bool terminal() const override { return false; }

 private:
  const NetworkRbacConfig config_;
};

}  // namespace remora::rbac
