// The balancer of ORIGINAL_DST clusters: a host for every destination that clients ask for, made
// when it is first asked for and forgotten when a cleanup interval passes without use. Owned by the
// worker's Cluster; one thread: each worker has hosts of its own.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/metadata.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/upstream/balancer.h"

namespace remora::upstream {

/// "10.0.0.1:80" or "[::1]:80"; none when it is anything else.
Address parse_ip_port(std::string_view text);

/// What `key` leads to in the first of `places` that has text there, or a list that begins with it;
/// null: nothing. It lives as long as they do.
std::string_view destination_in(const std::vector<std::string>& key,
                                std::initializer_list<const Metadata*> places);

class OriginalDst final : public Balancer {
 public:
  struct Events {
    /// Forgotten: its pools are to drain.
    std::function<void(const HostPtr&)> on_forgotten;
    /// A destination in a header or metadata that is not an address.
    std::function<void()> on_invalid_destination;
    /// True for an address at which this proxy itself listens: sending there would go round for
    /// ever.
    std::function<bool(const Address&)> is_own_address;
  };

  OriginalDst(std::shared_ptr<const ClusterConfig> config, WorkerContext& worker, Events events);

  HostPtr pick(const PickContext& context) override;
  void set_config(std::shared_ptr<const ClusterConfig> config);
  size_t host_count() const { return hosts_.size(); }
  bool knows(const Host& host) const;

 private:
  struct Entry {
    HostPtr host;
    bool used = true;  // since the last sweep
  };

  Address parse_override(std::string_view text) const;
  HostPtr host_at(const Address& destination);
  void sweep();

  std::shared_ptr<const ClusterConfig> config_;
  const Events events_;
  absl::flat_hash_map<Address, Entry> hosts_;
  Timer sweep_timer_;
};

}  // namespace remora::upstream
