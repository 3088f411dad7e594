#include "xds/translate/balancing.h"

#include <absl/strings/str_cat.h>

#include <cmath>

#include "api/cluster_aggregate.pb.h"
#include "api/dynamic_forward_proxy_cluster.pb.h"
#include "api/lb_client_weighted.pb.h"
#include "api/lb_least_request.pb.h"
#include "api/lb_maglev.pb.h"
#include "api/lb_peak_ewma.pb.h"
#include "api/lb_random.pb.h"
#include "api/lb_ring_hash.pb.h"
#include "api/lb_round_robin.pb.h"
#include "api/lb_subset.pb.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/peak_ewma.h"
#include "proxy/upstream/reported_weights.h"
#include "xds/translate/forward_proxy.h"
#include "xds/translate/host_connections.h"
#include "xds/translate/runtime.h"
#include "xds/translate/subset.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace proto = envoy::config::cluster::v3;
namespace lb = envoy::extensions::load_balancing_policies;
using Cluster = proto::Cluster;

constexpr uint64_t kMaxRingSize = uint64_t{8} * 1024 * 1024;
constexpr uint64_t kMaxTableSize = 5'000'011;

// What both of Envoy's ways to say it agree on.
template <class SlowStart>
absl::Status read_slow_start(const SlowStart& config, const Context& context,
                             upstream::SlowStart* out, const Path& path) {
  if (config.has_slow_start_window()) {
    REMORA_TRY_ASSIGN(out->window_ms,
                      milliseconds(config.slow_start_window(), path.field("slow_start_window")));
  }
  if (config.has_aggression()) {
    const double aggression = resolve(config.aggression(), context.runtime);
    if (aggression > 0 && std::isfinite(aggression)) out->aggression = aggression;
  }
  if (!config.has_min_weight_percent()) return absl::OkStatus();
  REMORA_TRY(check_percent(config.min_weight_percent(), path.field("min_weight_percent")));
  out->min_weight = config.min_weight_percent().value() / 100;
  return absl::OkStatus();
}

template <class ZoneAware>
absl::Status read_zone_aware(const ZoneAware& config, upstream::BalancingConfig* out,
                             const Path& path) {
  if (config.has_routing_enabled()) {
    REMORA_TRY(check_percent(config.routing_enabled(), path.field("routing_enabled")));
    out->zone_aware.routing_percent =
        static_cast<uint32_t>(std::round(config.routing_enabled().value()));
  }
  if (config.has_min_cluster_size()) {
    out->zone_aware.min_cluster_size = config.min_cluster_size().value();
  }
  out->fail_traffic_on_panic = config.fail_traffic_on_panic();
  return absl::OkStatus();
}

absl::Status read_localities(const lb::common::v3::LocalityLbConfig& config,
                             upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                             const Path& path) {
  out->locality_weighted = config.has_locality_weighted_lb_config();
  return read_zone_aware(config.zone_aware_lb_config(), more, path.field("zone_aware_lb_config"));
}

template <class LeastRequest>
absl::Status set_least_request(const LeastRequest& config, const Context& context,
                               upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                               const Path& path) {
  out->lb = upstream::LbPolicy::LeastRequest;
  REMORA_TRY(read_slow_start(config.slow_start_config(), context, &more->slow_start,
                             path.field("slow_start_config")));
  if (config.has_choice_count()) {
    out->choice_count = config.choice_count().value();
    if (out->choice_count < 2) return path.field("choice_count").error("must be at least 2");
  }
  if (config.has_active_request_bias()) {
    out->active_request_bias = resolve(config.active_request_bias(), context.runtime);
    if (!(out->active_request_bias >= 0) || std::isinf(out->active_request_bias)) {
      return path.field("active_request_bias").error("must not be negative");
    }
  }
  return absl::OkStatus();
}

template <class Common>
absl::Status read_hashing(const Common& common, upstream::HashPolicyConfig* out, const Path& path) {
  out->use_hostname = common.use_hostname_for_hashing();
  if (!common.has_hash_balance_factor()) return absl::OkStatus();
  out->balance_factor_percent = common.hash_balance_factor().value();
  if (out->balance_factor_percent < 100) {
    return path.field("hash_balance_factor").error("must be at least 100");
  }
  return absl::OkStatus();
}

template <class Ring>
absl::Status set_ring(const Ring& ring, upstream::ClusterConfig* out, const Path& path) {
  out->lb = upstream::LbPolicy::RingHash;
  upstream::HashPolicyConfig& hash = out->hash;
  if (ring.has_minimum_ring_size()) {
    hash.min_ring_size = ring.minimum_ring_size().value();
    const bool fits = hash.min_ring_size >= 1 && hash.min_ring_size <= kMaxRingSize;
    if (!fits) return path.field("minimum_ring_size").error("must be from 1 to 8388608");
  }
  if (ring.has_maximum_ring_size()) {
    hash.max_ring_size = ring.maximum_ring_size().value();
    const bool fits = hash.max_ring_size >= 1 && hash.max_ring_size <= kMaxRingSize;
    if (!fits) return path.field("maximum_ring_size").error("must be from 1 to 8388608");
  }
  if (hash.min_ring_size > hash.max_ring_size) {
    return path.field("minimum_ring_size").error("is above maximum_ring_size");
  }
  hash.murmur = ring.hash_function() == Ring::MURMUR_HASH_2;
  return absl::OkStatus();
}

bool is_prime(uint64_t number) {
  if (number < 2) return false;
  for (uint64_t factor = 2; factor * factor <= number; ++factor) {
    if (number % factor == 0) return false;
  }
  return true;
}

template <class Maglev>
absl::Status set_maglev(const Maglev& maglev, upstream::ClusterConfig* out, const Path& path) {
  out->lb = upstream::LbPolicy::Maglev;
  if (!maglev.has_table_size()) return absl::OkStatus();
  out->hash.table_size = maglev.table_size().value();
  const Path at = path.field("table_size");
  if (out->hash.table_size > kMaxTableSize) return at.error("is above 5000011");
  // 2 would leave a host nowhere to go on to.
  if (out->hash.table_size < 3 || !is_prime(out->hash.table_size)) {
    return at.error("must be a prime number");
  }
  return absl::OkStatus();
}

absl::Status set_hash_policy(const Cluster& cluster, upstream::ClusterConfig* out,
                             const Path& path) {
  REMORA_TRY(cluster.lb_policy() == Cluster::MAGLEV
                 ? set_maglev(cluster.maglev_lb_config(), out, path.field("maglev_lb_config"))
                 : set_ring(cluster.ring_hash_lb_config(), out, path.field("ring_hash_lb_config")));
  return read_hashing(cluster.common_lb_config().consistent_hashing_lb_config(), &out->hash,
                      path.field("common_lb_config.consistent_hashing_lb_config"));
}

template <class Policy>
absl::Status parse_policy(const TypedBytes& config, Policy* out, const Path& path) {
  return out->ParseFromString(config.bytes) ? absl::OkStatus()
                                            : path.error("is not a valid message");
}

absl::Status set_policy_list(const proto::LoadBalancingPolicy& list, const Context& context,
                             upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                             const Path& path);

absl::Status set_subsets(const lb::subset::v3::Subset& policy, const Context& context,
                         upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                         const Path& path) {
  if (more->subsets != nullptr) return path.error("is inside another one");
  REMORA_TRY_ASSIGN(more->subsets, subset_config(policy, path));
  if (!policy.has_subset_lb_policy()) return path.field("subset_lb_policy").error("is required");
  return set_policy_list(policy.subset_lb_policy(), context, out, more,
                         path.field("subset_lb_policy"));
}

absl::Status set_reported_weights(
    const lb::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin& policy,
    const Context& context, upstream::BalancingConfig* more, const Path& path) {
  constexpr uint64_t kShortestUpdateMs = 100;
  if (policy.enable_oob_load_report().value()) {
    return path.field("enable_oob_load_report")
        .error("is not supported: reports come with answers");
  }
  auto out = std::make_shared<upstream::ReportedWeightsConfig>();
  if (policy.has_blackout_period()) {
    REMORA_TRY_ASSIGN(out->blackout_ms,
                      milliseconds(policy.blackout_period(), path.field("blackout_period")));
  }
  if (policy.has_weight_expiration_period()) {
    REMORA_TRY_ASSIGN(out->expiration_ms, milliseconds(policy.weight_expiration_period(),
                                                       path.field("weight_expiration_period")));
  }
  if (policy.has_weight_update_period()) {
    REMORA_TRY_ASSIGN(out->update_ms, milliseconds(policy.weight_update_period(),
                                                   path.field("weight_update_period")));
    out->update_ms = std::max(out->update_ms, kShortestUpdateMs);
  }
  if (policy.has_error_utilization_penalty()) {
    out->error_penalty = policy.error_utilization_penalty().value();
    const bool fits = out->error_penalty >= 0 && std::isfinite(out->error_penalty);
    if (!fits) return path.field("error_utilization_penalty").error("must not be negative");
  }
  out->metrics.assign(policy.metric_names_for_computing_utilization().begin(),
                      policy.metric_names_for_computing_utilization().end());
  more->reported_weights = std::move(out);
  return read_slow_start(policy.slow_start_config(), context, &more->slow_start,
                         path.field("slow_start_config"));
}

absl::Status set_peak_ewma(const lb::peak_ewma::v3alpha::PeakEwma& policy,
                           upstream::BalancingConfig* more, const Path& path) {
  auto out = std::make_shared<upstream::PeakEwmaConfig>();
  uint64_t ms = 0;
  if (policy.has_decay_time()) {
    REMORA_TRY_ASSIGN(ms, milliseconds(policy.decay_time(), path.field("decay_time")));
    out->decay_ms = static_cast<double>(ms);
  }
  if (policy.has_default_rtt()) {
    REMORA_TRY_ASSIGN(ms, milliseconds(policy.default_rtt(), path.field("default_rtt")));
    out->default_answer_ms = static_cast<double>(ms);
  }
  if (policy.has_penalty_value()) {
    out->penalty = policy.penalty_value().value();
    const bool fits = out->penalty >= 0 && std::isfinite(out->penalty);
    if (!fits) return path.field("penalty_value").error("must not be negative");
  }
  more->peak_ewma = std::move(out);
  return absl::OkStatus();
}

// Answers false for a policy that is not known: the next one counts.
absl::StatusOr<bool> set_policy(const TypedBytes& config, const Context& context,
                                upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                                const Path& path) {
  if (config.type == lb::subset::v3::Subset::descriptor()->full_name()) {
    lb::subset::v3::Subset policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    REMORA_TRY(set_subsets(policy, context, out, more, path));
    return true;
  }
  if (config.type == lb::round_robin::v3::RoundRobin::descriptor()->full_name()) {
    lb::round_robin::v3::RoundRobin policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    out->lb = upstream::LbPolicy::RoundRobin;
    REMORA_TRY(read_slow_start(policy.slow_start_config(), context, &more->slow_start,
                               path.field("slow_start_config")));
    REMORA_TRY(
        read_localities(policy.locality_lb_config(), out, more, path.field("locality_lb_config")));
    return true;
  }
  if (config.type == lb::least_request::v3::LeastRequest::descriptor()->full_name()) {
    lb::least_request::v3::LeastRequest policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    REMORA_TRY(set_least_request(policy, context, out, more, path));
    more->full_scan = policy.selection_method() == lb::least_request::v3::LeastRequest::FULL_SCAN ||
                      policy.enable_full_scan().value();
    REMORA_TRY(
        read_localities(policy.locality_lb_config(), out, more, path.field("locality_lb_config")));
    return true;
  }
  using ClientWeighted = lb::client_side_weighted_round_robin::v3::ClientSideWeightedRoundRobin;
  if (config.type == ClientWeighted::descriptor()->full_name()) {
    ClientWeighted policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    out->lb = upstream::LbPolicy::RoundRobin;
    REMORA_TRY(set_reported_weights(policy, context, more, path));
    return true;
  }
  if (config.type == lb::peak_ewma::v3alpha::PeakEwma::descriptor()->full_name()) {
    lb::peak_ewma::v3alpha::PeakEwma policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    REMORA_TRY(set_peak_ewma(policy, more, path));
    return true;
  }
  if (config.type == lb::random::v3::Random::descriptor()->full_name()) {
    lb::random::v3::Random policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    out->lb = upstream::LbPolicy::Random;
    REMORA_TRY(
        read_localities(policy.locality_lb_config(), out, more, path.field("locality_lb_config")));
    return true;
  }
  if (config.type == lb::ring_hash::v3::RingHash::descriptor()->full_name()) {
    lb::ring_hash::v3::RingHash policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    REMORA_TRY(set_ring(policy, out, path));
    REMORA_TRY(policy.has_consistent_hashing_lb_config()
                   ? read_hashing(policy.consistent_hashing_lb_config(), &out->hash,
                                  path.field("consistent_hashing_lb_config"))
                   : read_hashing(policy, &out->hash, path));
    out->locality_weighted = policy.has_locality_weighted_lb_config();
    return true;
  }
  if (config.type == lb::maglev::v3::Maglev::descriptor()->full_name()) {
    lb::maglev::v3::Maglev policy;
    REMORA_TRY(parse_policy(config, &policy, path));
    REMORA_TRY(set_maglev(policy, out, path));
    REMORA_TRY(read_hashing(policy.consistent_hashing_lb_config(), &out->hash,
                            path.field("consistent_hashing_lb_config")));
    out->locality_weighted = policy.has_locality_weighted_lb_config();
    return true;
  }
  return false;
}

absl::Status set_policy_list(const proto::LoadBalancingPolicy& list, const Context& context,
                             upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                             const Path& path) {
  std::string seen;
  for (int i = 0; i < list.policies_size(); ++i) {
    const Path here = path.at("policies", i);
    const Path at = here.field("typed_extension_config.typed_config");
    TypedBytes config;
    REMORA_TRY_ASSIGN(config, unwrap(list.policies(i).typed_extension_config().typed_config(), at));
    auto known = set_policy(config, context, out, more, at);
    if (!known.ok()) return known.status();
    if (*known) return absl::OkStatus();
    absl::StrAppend(&seen, seen.empty() ? "" : ", ", config.type);
  }
  return path.error(absl::StrCat("has no policy that is supported among: ", seen));
}

absl::Status set_named_policy(const Cluster& cluster, const Context& context,
                              upstream::ClusterConfig* out, upstream::BalancingConfig* more,
                              const Path& path) {
  switch (cluster.lb_policy()) {
    case Cluster::LEAST_REQUEST:
      return set_least_request(cluster.least_request_lb_config(), context, out, more,
                               path.field("least_request_lb_config"));
    case Cluster::RANDOM:
      out->lb = upstream::LbPolicy::Random;
      return absl::OkStatus();
    case Cluster::CLUSTER_PROVIDED:
      out->lb = upstream::LbPolicy::ClusterProvided;
      return absl::OkStatus();
    case Cluster::RING_HASH:
    case Cluster::MAGLEV:
      return set_hash_policy(cluster, out, path);
    case Cluster::LOAD_BALANCING_POLICY_CONFIG:
      if (!cluster.has_load_balancing_policy()) {
        return path.field("load_balancing_policy").error("is required");
      }
      return absl::OkStatus();
    default:
      out->lb = upstream::LbPolicy::RoundRobin;
      return read_slow_start(cluster.round_robin_lb_config().slow_start_config(), context,
                             &more->slow_start,
                             path.field("round_robin_lb_config.slow_start_config"));
  }
}

absl::Status read_common(const Cluster::CommonLbConfig& common, upstream::ClusterConfig* out,
                         upstream::BalancingConfig* more, const Path& path) {
  out->locality_weighted = common.has_locality_weighted_lb_config();
  REMORA_TRY(
      read_zone_aware(common.zone_aware_lb_config(), more, path.field("zone_aware_lb_config")));
  if (common.has_healthy_panic_threshold()) {
    const double percent = common.healthy_panic_threshold().value();
    if (!(percent >= 0 && percent <= 100)) {
      return path.field("healthy_panic_threshold").error("must be from 0 to 100");
    }
    out->panic_threshold_percent = static_cast<uint32_t>(percent);
  }
  if (common.has_update_merge_window()) {
    REMORA_TRY_ASSIGN(
        more->update_merge_window_ms,
        milliseconds(common.update_merge_window(), path.field("update_merge_window")));
  }
  more->close_connections_on_host_set_change = common.close_connections_on_host_set_change();
  if (common.has_override_host_status()) {
    more->override_host_status = 0;
    for (const int status : common.override_host_status().statuses()) {
      if (envoy::config::core::v3::HealthStatus_IsValid(status)) {
        more->override_host_status |= 1u << static_cast<uint32_t>(status);
      }
    }
  }
  return absl::OkStatus();
}

// Of a type that goes by a configuration of its own.
absl::Status set_cluster_type(const Cluster& cluster, Context& context, upstream::LbPolicy policy,
                              upstream::BalancingConfig* more, const Path& path) {
  envoy::extensions::clusters::aggregate::v3::ClusterConfig config;
  using ForwardProxy = envoy::extensions::clusters::dynamic_forward_proxy::v3::ClusterConfig;
  TypedBytes bytes;
  REMORA_TRY_ASSIGN(bytes, unwrap(cluster.cluster_type().typed_config(), path));
  if (bytes.type == ForwardProxy::descriptor()->full_name()) {
    REMORA_TRY(set_forward_proxy(bytes.bytes, context, more, path));
  } else if (bytes.type == config.GetDescriptor()->full_name()) {
    REMORA_TRY(parse_policy(bytes, &config, path));
    if (config.clusters().empty()) return path.field("clusters").error("must not be empty");
    more->members.assign(config.clusters().begin(), config.clusters().end());
  } else {
    return path.error(absl::StrCat("unknown type ", bytes.type));
  }
  return policy == upstream::LbPolicy::ClusterProvided
             ? absl::OkStatus()
             : path.error("needs lb_policy CLUSTER_PROVIDED");
}

absl::Status set_legacy_subsets(const Cluster& cluster, upstream::BalancingConfig* more,
                                const Path& path) {
  if (!cluster.has_lb_subset_config()) return absl::OkStatus();
  if (cluster.has_load_balancing_policy()) {
    return path.error("and load_balancing_policy exclude each other");
  }
  REMORA_TRY_ASSIGN(more->subsets, subset_config(cluster.lb_subset_config(), path));
  if (more->subsets != nullptr && cluster.lb_policy() == Cluster::CLUSTER_PROVIDED) {
    return path.error("is not for lb_policy CLUSTER_PROVIDED");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status set_balancing(const Cluster& cluster, Context& context, upstream::ClusterConfig* out,
                           const Path& path) {
  const auto& common = cluster.common_lb_config();
  auto more = std::make_shared<upstream::BalancingConfig>();
  REMORA_TRY(read_common(common, out, more.get(), path.field("common_lb_config")));
  REMORA_TRY(read_host_connections(cluster, more.get(), path));
  REMORA_TRY(set_legacy_subsets(cluster, more.get(), path.field("lb_subset_config")));
  REMORA_TRY(cluster.has_load_balancing_policy()
                 ? set_policy_list(cluster.load_balancing_policy(), context, out, more.get(),
                                   path.field("load_balancing_policy"))
                 : set_named_policy(cluster, context, out, more.get(), path));
  if (cluster.has_cluster_type()) {
    REMORA_TRY(set_cluster_type(cluster, context, out->lb, more.get(),
                                path.field("cluster_type.typed_config")));
    out->balancing = std::move(more);
    return absl::OkStatus();
  }
  out->balancing = std::move(more);
  const bool provided = out->lb == upstream::LbPolicy::ClusterProvided;
  const bool original_dst = out->discovery == upstream::Discovery::OriginalDst;
  if (original_dst && !provided) {
    return path.field("lb_policy").error("must be CLUSTER_PROVIDED for type ORIGINAL_DST");
  }
  if (provided && !original_dst) {
    return path.field("lb_policy")
        .error("CLUSTER_PROVIDED is for type ORIGINAL_DST and cluster_type only");
  }
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
