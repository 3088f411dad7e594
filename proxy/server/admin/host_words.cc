#include "proxy/server/admin/host_words.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/list_balancer.h"

namespace remora::server {
namespace {

using upstream::Ejection;

std::string seconds(uint64_t ms) {
  constexpr uint64_t kSecond = 1000;
  return absl::StrCat(ms / kSecond, " s");
}

const char* why_text(Ejection why) {
  switch (why) {
    case Ejection::Consecutive5xx:
      return "5xx in a row";
    case Ejection::ConsecutiveGatewayFailure:
      return "gateway failures in a row";
    case Ejection::ConsecutiveLocalOriginFailure:
      return "failures to reach it in a row";
    case Ejection::SuccessRate:
      return "a success rate below its peers'";
    case Ejection::LocalOriginSuccessRate:
      return "a rate of reaching it below its peers'";
    case Ejection::FailurePercentage:
      return "its percentage of failures";
    case Ejection::LocalOriginFailurePercentage:
      return "its percentage of failures to reach it";
  }
  return "";
}

HostCounts without(const HostCounts& all, const HostCounts& one) {
  return {all.connections - one.connections, all.failed - one.failed, all.answers - one.answers,
          all.answer_us - one.answer_us};
}

}  // namespace

HostWords::HostWords(const ClusterManager& clusters, const ManagedCluster& cluster)
    : clusters_(clusters), cluster_(cluster), age_(clusters.eds_age(cluster)) {
  if (cluster.hosts == nullptr) return;
  const auto load = upstream::load_of(*cluster.hosts, cluster.config->panic_threshold_percent);
  const auto& priorities = cluster.hosts->priorities;
  for (size_t i = 0; i < priorities.size(); ++i) {
    HostCounts& all = lately_.emplace_back();
    for (const auto& host : priorities[i].hosts) all.add(clusters.host_watch().lately(*host));
    if (i >= load.shares.size() || !load.shares[i].panic || priorities[i].hosts.empty()) continue;
    panics_[static_cast<uint32_t>(i)] = panic_of(priorities[i]);
  }
}

std::string HostWords::panic_of(const upstream::PriorityHosts& hosts) const {
  const bool fails = upstream::balancing_of(*cluster_.config).fail_traffic_on_panic;
  return absl::StrCat(hosts.healthy.size(), " of ", hosts.hosts.size() - hosts.excluded,
                      " hosts healthy, below ", cluster_.config->panic_threshold_percent, "%, ",
                      fails ? "no host is used" : "all are used");
}

std::vector<std::string> HostWords::reasons(const upstream::Host& host, uint32_t priority) const {
  const HostCounts own = clusters_.host_watch().lately(host);
  std::vector<std::string> out = {
      ejection_of(host), checks_of(host),  discovery_of(host),
      age_of(host),      failures_of(own), slowness_of(own, without(lately_[priority], own))};
  const auto panic = panics_.find(priority);
  if (panic != panics_.end() && host.overall_health() == upstream::Health::Unhealthy) {
    out.push_back("panic, " + panic->second);
  }
  std::erase(out, "");
  return out;
}

std::string HostWords::ejection_of(const upstream::Host& host) const {
  if (!host.ejected() || host.monitor() == nullptr || !cluster_.config->outlier) return {};
  const auto& record = host.monitor()->record;
  const auto& config = *cluster_.config->outlier;
  const uint64_t lasts =
      std::min(record.back_off * config.base_ejection_ms, config.max_ejection_ms) +
      record.jitter_ms;
  return absl::StrCat("outlier, left out ", seconds(clusters_.now() - record.ejected_at),
                      " ago for ", seconds(lasts), " after ", why_text(record.why), ", time ",
                      record.ejections);
}

std::string HostWords::checks_of(const upstream::Host& host) const {
  using upstream::CheckFlag;
  if (host.check_flag(CheckFlag::kCheckPending)) return "waits for its first health check";
  if (host.check_flag(CheckFlag::kCheckExcluded)) return "asked to be left out";
  if (host.check_flag(CheckFlag::kCheckTimeout)) return "does not answer its health checks in time";
  if (host.check_flag(CheckFlag::kCheckFailed)) return "fails its health checks";
  return host.check_flag(CheckFlag::kCheckDegraded) ? "calls itself degraded" : "";
}

std::string HostWords::discovery_of(const upstream::Host& host) const {
  if (host.check_flag(upstream::kCheckRemoval)) {
    return "no more listed by discovery, stays while it passes its health checks";
  }
  if (host.health() == upstream::Health::Unhealthy) return "discovery says that it is not healthy";
  return host.health() == upstream::Health::Degraded ? "discovery says that it is degraded" : "";
}

std::string HostWords::age_of(const upstream::Host& host) const {
  const bool too_old = age_.stale && host.check_flag(upstream::kCheckRemoval);
  if (age_.refreshed_at == 0 || (!too_old && !age_.cut_off)) return {};
  return absl::StrCat("not refreshed for ", seconds(clusters_.now() - age_.refreshed_at),
                      age_.cut_off ? ", no connection to the control plane" : "");
}

}  // namespace remora::server
