#include "proxy/server/admin/clusters_view.h"

#include <charconv>
#include <functional>
#include <string>

#include "api/admin.pb.h"
#include "proxy/server/admin/endpoints_message.h"
#include "proxy/server/admin/host_words.h"
#include "proxy/server/admin/json.h"

namespace remora::server {
namespace {

using envoy::admin::v3::SimpleMetric;
using HostVisitor = std::function<void(const upstream::Host&, uint32_t priority)>;

void for_each_host(const ManagedCluster& cluster, const HostVisitor& visit) {
  if (cluster.hosts == nullptr) return;
  for (size_t priority = 0; priority < cluster.hosts->priorities.size(); ++priority) {
    for (const upstream::HostPtr& host : cluster.hosts->priorities[priority].hosts) {
      visit(*host, static_cast<uint32_t>(priority));
    }
  }
}

struct HostMetric {
  const char* name;
  SimpleMetric::Type type;
  uint64_t value;
};

std::vector<HostMetric> metrics_of(const upstream::Host& host) {
  const auto& c = host.counters;
  constexpr auto kRelaxed = std::memory_order_relaxed;
  return {
      {"cx_active", SimpleMetric::GAUGE, c.cx_active.load(kRelaxed)},
      {"cx_connect_fail", SimpleMetric::COUNTER, c.cx_connect_fail.load(kRelaxed)},
      {"cx_total", SimpleMetric::COUNTER, c.cx_total.load(kRelaxed)},
      {"rq_active", SimpleMetric::GAUGE, c.rq_active.load(kRelaxed)},
      {"rq_error", SimpleMetric::COUNTER, c.rq_error.load(kRelaxed)},
      {"rq_success", SimpleMetric::COUNTER, c.rq_success.load(kRelaxed)},
      {"rq_timeout", SimpleMetric::COUNTER, c.rq_timeout.load(kRelaxed)},
      {"rq_total", SimpleMetric::COUNTER, c.rq_total.load(kRelaxed)},
  };
}

std::string health_flags(const upstream::Host& host) {
  std::string flags;
  const auto add = [&](upstream::CheckFlag flag, const char* text) {
    if (host.check_flag(flag)) flags += text;
  };
  add(upstream::kCheckFailed, "/failed_active_hc");
  if (host.ejected()) flags += "/failed_outlier_check";
  if (host.health() == upstream::Health::Unhealthy) flags += "/failed_eds_health";
  add(upstream::kCheckDegraded, "/degraded_active_hc");
  if (host.health() == upstream::Health::Degraded) flags += "/degraded_eds_health";
  add(upstream::kCheckRemoval, "/pending_dynamic_removal");
  add(upstream::kCheckPending, "/pending_active_hc");
  add(upstream::kCheckExcluded, "/excluded_via_immediate_hc_fail");
  add(upstream::kCheckTimeout, "/active_hc_timeout");
  return flags.empty() ? "healthy" : flags;
}

void add_health(const upstream::Host& host, envoy::admin::v3::HostHealthStatus* out) {
  out->set_failed_outlier_check(host.ejected());
  out->set_failed_active_health_check(host.check_flag(upstream::kCheckFailed));
  out->set_failed_active_degraded_check(host.check_flag(upstream::kCheckDegraded));
  out->set_pending_dynamic_removal(host.check_flag(upstream::kCheckRemoval));
  out->set_pending_active_hc(host.check_flag(upstream::kCheckPending));
  out->set_excluded_via_immediate_hc_fail(host.check_flag(upstream::kCheckExcluded));
  out->set_active_hc_timeout(host.check_flag(upstream::kCheckTimeout));
}

/// As Envoy writes it: no more digits than it takes.
std::string percent_text(double percent) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, percent).ptr;
  return {text, end};
}

upstream::OutlierMonitor::Record record_of(const upstream::Host& host) {
  return host.monitor() == nullptr ? upstream::OutlierMonitor::Record() : host.monitor()->record;
}

void append_thresholds(const std::string& name, const char* priority,
                       const upstream::CircuitBreakerThresholds& t, std::string* out) {
  auto line = [&](const char* key, uint64_t value) {
    *out += name + "::" + priority + "_priority::" + key + "::" + std::to_string(value) + "\n";
  };
  line("max_connections", t.max_connections);
  line("max_pending_requests", t.max_pending_requests);
  line("max_requests", t.max_requests);
  line("max_retries", t.max_retries);
}

std::string as_text(const ClusterManager& clusters) {
  std::string out;
  for (const auto& [name, cluster] : clusters.active()) {
    const auto& config = *cluster->config;
    out += name +
           "::observability_name::" + (config.alt_stat_name.empty() ? name : config.alt_stat_name) +
           "\n";
    append_thresholds(name, "default", config.default_thresholds, &out);
    append_thresholds(name, "high", config.high_thresholds, &out);
    out += name + "::added_via_api::" + (cluster->is_static ? "false" : "true") + "\n";
    if (!config.eds_service_name.empty())
      out += name + "::eds_service_name::" + config.eds_service_name + "\n";
    const HostWords words(clusters, *cluster);
    for (const auto& [priority, text] : words.panics()) {
      out += name + "::priority_" + std::to_string(priority) + "::panic::" + text + "\n";
    }
    for_each_host(*cluster, [&](const upstream::Host& host, uint32_t priority) {
      std::string prefix = name + "::" + host.address().to_string() + "::";
      for (const HostMetric& metric : metrics_of(host)) {
        out += prefix + metric.name + "::" + std::to_string(metric.value) + "\n";
      }
      out += prefix + "hostname::" + host.hostname() + "\n";
      out += prefix + "health_flags::" + health_flags(host) + "\n";
      out += prefix + "weight::" + std::to_string(host.weight()) + "\n";
      out += prefix + "region::" + host.locality().region + "\n";
      out += prefix + "zone::" + host.locality().zone + "\n";
      out += prefix + "sub_zone::" + host.locality().sub_zone + "\n";
      out += prefix + (host.endpoint().canary ? "canary::true\n" : "canary::false\n");
      out += prefix + "priority::" + std::to_string(priority) + "\n";
      const uint64_t idle_close_ms = host.idle_close_ms.load(std::memory_order_relaxed);
      if (idle_close_ms != 0) {
        out += prefix + "idle_close_ms::" + std::to_string(idle_close_ms) + "\n";
      }
      const auto record = record_of(host);
      out += prefix + "success_rate::" + percent_text(record.success_rate) + "\n";
      out +=
          prefix + "local_origin_success_rate::" + percent_text(record.local_success_rate) + "\n";
      for (const std::string& reason : words.reasons(host, priority)) {
        out += prefix + "reason::" + reason + "\n";
      }
    });
  }
  return out;
}

std::string as_json(const ClusterManager& clusters) {
  envoy::admin::v3::Clusters message;
  for (const auto& [name, cluster] : clusters.active()) {
    auto* status = message.add_cluster_statuses();
    const auto& config = *cluster->config;
    status->set_name(name);
    status->set_observability_name(config.alt_stat_name.empty() ? name : config.alt_stat_name);
    status->set_added_via_api(!cluster->is_static);
    status->set_eds_service_name(config.eds_service_name);
    for (const auto* thresholds : {&config.default_thresholds, &config.high_thresholds}) {
      auto* out = status->mutable_circuit_breakers()->add_thresholds();
      if (thresholds == &config.high_thresholds) out->set_priority(envoy::config::core::v3::HIGH);
      out->mutable_max_connections()->set_value(thresholds->max_connections);
      out->mutable_max_pending_requests()->set_value(thresholds->max_pending_requests);
      out->mutable_max_requests()->set_value(thresholds->max_requests);
      out->mutable_max_retries()->set_value(thresholds->max_retries);
    }
    const HostWords words(clusters, *cluster);
    for_each_host(*cluster, [&](const upstream::Host& host, uint32_t priority) {
      auto* out = status->add_host_statuses();
      to_message(host.address(), out->mutable_address());
      for (const HostMetric& metric : metrics_of(host)) {
        auto* stat = out->add_stats();
        stat->set_name(metric.name);
        stat->set_type(metric.type);
        stat->set_value(metric.value);
      }
      out->mutable_health_status()->set_eds_health_status(
          host.health() == upstream::Health::Healthy    ? envoy::config::core::v3::HEALTHY
          : host.health() == upstream::Health::Degraded ? envoy::config::core::v3::DEGRADED
                                                        : envoy::config::core::v3::UNHEALTHY);
      add_health(host, out->mutable_health_status());
      const auto record = record_of(host);
      if (record.success_rate >= 0) {
        out->mutable_success_rate()->set_value(record.success_rate);
      }
      if (record.local_success_rate >= 0) {
        out->mutable_local_origin_success_rate()->set_value(record.local_success_rate);
      }
      for (const std::string& reason : words.reasons(host, priority)) {
        auto* stat = out->add_stats();
        stat->set_name("reason: " + reason);
        stat->set_type(SimpleMetric::GAUGE);
        stat->set_value(1);
      }
      out->set_weight(host.weight());
      out->set_hostname(host.hostname());
      out->set_priority(priority);
      to_message(host.locality(), out->mutable_locality());
    });
  }
  return to_json(message);
}

}  // namespace

AdminResponse clusters_view(const ClusterManager& clusters, const AdminRequest& request) {
  if (request.get("format") == "json") return AdminResponse::json(as_json(clusters));
  return AdminResponse::text(as_text(clusters));
}

}  // namespace remora::server
