#include "proxy/server/health_events.h"

#include <algorithm>

#include "proxy/base/metadata.h"
#include "proxy/telemetry/log_time.h"

namespace remora::server {
namespace {

using upstream::CheckEvent;
using upstream::Ejection;
using upstream::OutlierEvent;
using Kind = upstream::HealthCheckConfig::Kind;

/// An object of JSON on one line; fields in the order in which they are added.
class Object {
 public:
  Object& raw(std::string_view name, std::string_view json) {
    out_ += out_.empty() ? '{' : ',';
    append_json(MetadataValue(name), out_);
    out_ += ':';
    out_ += json;
    return *this;
  }
  Object& text(std::string_view name, std::string_view value) {
    std::string json;
    append_json(MetadataValue(value), json);
    return raw(name, json);
  }
  Object& number(std::string_view name, uint64_t value) { return raw(name, std::to_string(value)); }
  Object& truth(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
  std::string end() const { return out_.empty() ? "{}" : out_ + "}"; }

 private:
  std::string out_;
};

std::string time_text(WallNs at) {
  constexpr WallNs kMs = 1'000'000, kSecond = 1'000'000'000;
  const bool whole = at % kSecond < kMs;
  std::string out;
  telemetry::append_time(at, whole ? "%Y-%m-%dT%H:%M:%SZ" : telemetry::kDefaultTimeFormat,
                         telemetry::Zone::Utc, out);
  return out;
}

std::string address_json(const Address& address) {
  if (!address.is_ip()) {
    return Object()
        .raw("pipe", Object().text("path", address.ip_string()).number("mode", 0).end())
        .end();
  }
  Object socket;
  socket.text("protocol", "TCP").text("address", address.ip_string());
  socket.number("port_value", address.port()).text("resolver_name", "");
  socket.truth("ipv4_compat", false).text("network_namespace_filepath", "");
  return Object().raw("socket_address", socket.end()).end();
}

std::string metadata_json(const Metadata& metadata) {
  MetadataStruct filters;
  for (const auto& [name, fields] : *metadata.all()) filters.emplace(name, fields);
  std::string json;
  append_json(filters, json);
  return Object().raw("filter_metadata", json).raw("typed_filter_metadata", "{}").end();
}

std::string locality_json(const upstream::Locality& locality) {
  return Object()
      .text("region", locality.region)
      .text("zone", locality.zone)
      .text("sub_zone", locality.sub_zone)
      .end();
}

const char* failure_name(CheckEvent::Failure failure) {
  constexpr const char* kNames[] = {"ACTIVE", "PASSIVE", "NETWORK", "NETWORK_TIMEOUT"};
  return kNames[static_cast<size_t>(failure)];
}

/// Who is in and who is out.
void add_change(CheckEvent event, Object& out) {
  if (event.what == CheckEvent::What::Ejected) {
    Object what;
    what.text("failure_type", failure_name(event.failure)).number("http_status_code", event.status);
    out.raw("eject_unhealthy_event", what.end());
  } else if (event.what == CheckEvent::What::Added) {
    out.raw("add_healthy_event", Object().truth("first_check", event.first_check).end());
  }
}

void add_finding(CheckEvent event, Object& out) {
  if (event.what == CheckEvent::What::Failed) {
    Object what;
    what.text("failure_type", failure_name(event.failure)).truth("first_check", event.first_check);
    out.raw("health_check_failure_event", what.number("http_status_code", event.status).end());
  } else if (event.what == CheckEvent::What::Degraded) {
    out.raw("degraded_healthy_host", "{}");
  } else if (event.what == CheckEvent::What::NoLongerDegraded) {
    out.raw("no_longer_degraded_host", "{}");
  }
}

const char* kind_name(Kind kind) {
  return kind == Kind::Http ? "HTTP" : kind == Kind::Tcp ? "TCP" : "GRPC";
}

const char* ejection_name(Ejection why) {
  constexpr const char* kNames[upstream::kEjections] = {"CONSECUTIVE_5XX",
                                                        "CONSECUTIVE_GATEWAY_FAILURE",
                                                        "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
                                                        "SUCCESS_RATE",
                                                        "SUCCESS_RATE_LOCAL_ORIGIN",
                                                        "FAILURE_PERCENTAGE",
                                                        "FAILURE_PERCENTAGE_LOCAL_ORIGIN"};
  return kNames[static_cast<size_t>(why)];
}

uint64_t whole(double percent) { return static_cast<uint64_t>(std::max(percent, 0.0)); }

void add_ejection(const OutlierEvent& event, Object& out) {
  switch (event.why) {
    case Ejection::SuccessRate:
    case Ejection::LocalOriginSuccessRate:
      out.raw("eject_success_rate_event",
              Object()
                  .number("host_success_rate", whole(event.rate))
                  .number("cluster_average_success_rate", whole(event.average))
                  .number("cluster_success_rate_ejection_threshold", whole(event.threshold))
                  .end());
      return;
    case Ejection::FailurePercentage:
    case Ejection::LocalOriginFailurePercentage:
      out.raw("eject_failure_percentage_event",
              Object().number("host_success_rate", whole(event.rate)).end());
      return;
    default:
      out.raw("eject_consecutive_event", "{}");
  }
}

}  // namespace

std::string check_event_line(const upstream::ClusterConfig& cluster, const upstream::Host& host,
                             CheckEvent event, WallNs now) {
  // In the order of the fields' numbers.
  Object out;
  out.text("health_checker_type", kind_name(cluster.health_check->kind));
  out.raw("host", address_json(host.address())).text("cluster_name", cluster.name);
  add_change(event, out);
  out.text("timestamp", time_text(now));
  add_finding(event, out);
  const Metadata* metadata = host.extras().metadata.get();
  if (metadata != nullptr && !metadata->empty()) out.raw("metadata", metadata_json(*metadata));
  out.raw("locality", locality_json(host.locality()));
  if (event.what == CheckEvent::What::Passed) out.raw("successful_health_check_event", "{}");
  return out.end() + "\n";
}

std::string outlier_event_line(const std::string& cluster, const upstream::Host& host,
                               const OutlierEvent& event, WallNs now) {
  constexpr uint64_t kSecond = 1000;
  Object out;
  out.text("type", ejection_name(event.why)).text("timestamp", time_text(now));
  if (event.since_other_ms) {
    out.text("secs_since_last_action", std::to_string(*event.since_other_ms / kSecond));
  }
  out.text("cluster_name", cluster).text("upstream_url", host.address().to_string());
  out.text("action", event.ejects ? "EJECT" : "UNEJECT");
  out.number("num_ejections", event.ejections).truth("enforced", event.enforced);
  if (event.ejects) add_ejection(event, out);
  return out.end() + "\n";
}

}  // namespace remora::server
