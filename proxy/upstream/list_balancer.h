// The balancer of clusters with endpoints of their own: first the priority (by health and panic),
// then the locality (when weighted), then the host by policy. Tables are made at the first use of
// each. Owned by the worker's Cluster; one thread.
#pragma once

#include <memory>
#include <vector>

#include "proxy/upstream/balancer.h"
#include "proxy/upstream/edf.h"
#include "proxy/upstream/priority_load.h"
#include "proxy/upstream/zone_routing.h"

namespace remora::upstream {

class ReportedWeights;

std::vector<PriorityCounts> counts_of(const HostSet& hosts);

/// The shares of the priorities of `hosts`.
PriorityLoad load_of(const HostSet& hosts, uint32_t panic_threshold_percent);

class ListBalancer final : public Balancer {
 public:
  ListBalancer(const BalancerParts& parts, std::shared_ptr<const HostSet> hosts);
  ~ListBalancer() override;

  HostPtr pick(const PickContext& context) override;
  const PriorityLoad& load() const { return load_; }

 private:
  // A list of hosts with its picker, made when it is first used.
  struct Source {
    const HostList* hosts = nullptr;
    std::unique_ptr<ListPicker> picker;
  };
  // One health class of a priority: as a whole, or by locality when localities have weights or
  // zones count.
  struct Group {
    Source whole;
    EdfQueue turn;                // empty: no weighted localities
    std::vector<double> weights;  // by locality
    std::vector<Source> localities;
    bool by_zone = false;
  };
  struct PrioritySources {
    Source all;
    Group healthy;
    Group degraded;
  };

  Group make_group(const PriorityHosts& priority, HostList PriorityHosts::*whole,
                   HostList LocalityHosts::*part) const;
  void reset_pickers();
  void set_zone_routing(const BalancerParts& parts);
  bool zones_count();
  Source& choose_zone(Group& group);
  void find_only_source();
  PriorityChoice choose(const PickContext& context) const;
  HostPtr pick_from(Group& group);
  HostPtr pick_from(Source& source);

  std::shared_ptr<const ClusterConfig> config_;
  std::shared_ptr<const HostSet> hosts_;
  WorkerContext& worker_;
  stats::Slab<stats::ClusterSchema>& stats_;
  PriorityLoad load_;
  ZoneRouting zones_;  // of the first priority
  bool own_in_panic_ = false;
  std::vector<PrioritySources> sources_;
  Source* only_ = nullptr;  // where every pick ends that nothing diverts: of most clusters
  std::unique_ptr<ReportedWeights> reported_;  // null: weights are those of discovery
};

}  // namespace remora::upstream
