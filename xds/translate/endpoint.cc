#include "xds/translate/endpoint.h"

#include <absl/strings/str_cat.h>

#include <limits>
#include <map>

#include "xds/translate/health_check.h"
#include "xds/translate/host_metadata.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
namespace proto = envoy::config::endpoint::v3;

constexpr uint32_t kMaxPriority = 128;

constexpr char kTransportLabels[] = "envoy.transport_socket_match";

upstream::TransportLabels labels_of(const core::Metadata& metadata) {
  const auto found = metadata.filter_metadata().find(kTransportLabels);
  if (found == metadata.filter_metadata().end()) return {};
  return transport_labels(found->second);
}

/// Of name space envoy.lb; without one, an empty value.
google::protobuf::Value balancing_value(const core::Metadata& metadata, const char* key) {
  const auto found = metadata.filter_metadata().find("envoy.lb");
  if (found == metadata.filter_metadata().end()) return {};
  const auto value = found->second.fields().find(key);
  return value == found->second.fields().end() ? google::protobuf::Value() : value->second;
}

/// What the endpoint wants to be known by in hash tables.
std::string hash_key(const core::Metadata& metadata) {
  return balancing_value(metadata, "hash_key").string_value();
}

bool is_canary(const core::Metadata& metadata) {
  return balancing_value(metadata, "canary").bool_value();
}

void set_health(core::HealthStatus status, upstream::EndpointConfig* out) {
  out->status = static_cast<upstream::EndpointStatus>(status);
  switch (status) {
    case core::UNHEALTHY:
    case core::TIMEOUT:
      out->health = upstream::Health::Unhealthy;
      return;
    case core::DEGRADED:
      out->health = upstream::Health::Degraded;
      return;
    case core::DRAINING:
      out->health = upstream::Health::Unhealthy;
      out->draining = true;
      return;
    default:
      out->health = upstream::Health::Healthy;
  }
}

absl::Status set_address(const proto::Endpoint& endpoint, EndpointNames names, Context& context,
                         upstream::EndpointConfig* out, const Path& path) {
  const Path at = path.field("address");
  if (!endpoint.has_address()) return at.error("is required");
  out->hostname = endpoint.hostname();
  const bool named = names == EndpointNames::Resolved && endpoint.address().has_socket_address();
  if (!named) {
    REMORA_TRY_ASSIGN(out->address, address(endpoint.address(), at));
    return absl::OkStatus();
  }
  const core::SocketAddress& socket = endpoint.address().socket_address();
  const Path at_socket = at.field("socket_address");
  auto port = tcp_port(socket, at_socket);
  if (!port.ok()) return port.status();
  if (socket.address().empty()) return at_socket.field("address").error("is required");
  if (!endpoint.hostname().empty() && endpoint.hostname() != socket.address()) {
    REMORA_TRY(context.not_honoured(path.field("hostname"),
                                    "a name besides the one that is looked up", false));
  }
  out->hostname = socket.address();
  out->address = Address().with_port(*port);
  return absl::OkStatus();
}

absl::Status set_more_addresses(const proto::Endpoint& endpoint, EndpointNames names,
                                upstream::EndpointConfig* out, const Path& path) {
  for (int i = 0; i < endpoint.additional_addresses_size(); ++i) {
    const Path one = path.at("additional_addresses", i);
    const Path at = one.field("address");
    // Names are looked up, and give what addresses they have.
    if (names == EndpointNames::Resolved) return at.error("is not for names that are looked up");
    if (!endpoint.additional_addresses(i).has_address()) return at.error("is required");
    auto more = address(endpoint.additional_addresses(i).address(), at);
    if (!more.ok()) return more.status();
    out->extras.edit().more_addresses.push_back(*std::move(more));
  }
  return absl::OkStatus();
}

absl::StatusOr<upstream::EndpointConfig> endpoint_config(const proto::LbEndpoint& from,
                                                         EndpointNames names, Context& context,
                                                         const Path& path) {
  if (!from.has_endpoint()) return path.field("endpoint").error("is required");
  upstream::EndpointConfig out;
  REMORA_TRY(set_address(from.endpoint(), names, context, &out, path.field("endpoint")));
  const Path at_endpoint = path.field("endpoint");
  REMORA_TRY(set_more_addresses(from.endpoint(), names, &out, at_endpoint));
  if (from.endpoint().has_health_check_config()) {
    REMORA_TRY(set_check_address(from.endpoint().health_check_config(), &out,
                                 path.field("endpoint.health_check_config")));
  }
  if (from.has_load_balancing_weight()) {
    out.weight = from.load_balancing_weight().value();
    if (out.weight == 0) return path.field("load_balancing_weight").error("must be at least 1");
  }
  set_health(from.health_status(), &out);
  if (from.has_metadata()) {
    upstream::EndpointExtras& extras = out.extras.edit();
    extras.metadata_key = canonical_text(from.metadata());
    extras.labels = host_labels(from.metadata());
    extras.metadata = host_metadata(from.metadata());
    extras.transport_labels = labels_of(from.metadata());
    extras.hash_key = hash_key(from.metadata());
    out.canary = is_canary(from.metadata());
  }
  return out;
}

absl::StatusOr<upstream::LocalityEndpoints> locality_endpoints(
    const proto::LocalityLbEndpoints& from, EndpointNames names, Context& context,
    const Path& path) {
  upstream::LocalityEndpoints out;
  out.locality = {from.locality().region(), from.locality().zone(), from.locality().sub_zone()};
  if (from.has_load_balancing_weight()) {
    out.weight = from.load_balancing_weight().value();
    if (out.weight == 0) return path.field("load_balancing_weight").error("must be at least 1");
  }
  if (from.priority() > kMaxPriority) return path.field("priority").error("is above 128");
  out.priority = from.priority();
  uint64_t sum = 0;
  out.endpoints.reserve(static_cast<size_t>(from.lb_endpoints_size()));
  for (int i = 0; i < from.lb_endpoints_size(); ++i) {
    auto endpoint =
        endpoint_config(from.lb_endpoints(i), names, context, path.at("lb_endpoints", i));
    if (!endpoint.ok()) return endpoint.status();
    sum += endpoint->weight;
    out.add(*std::move(endpoint));
  }
  if (sum > std::numeric_limits<uint32_t>::max()) {
    return path.field("lb_endpoints").error("the sum of weights is above the maximum of a uint32");
  }
  return out;
}

absl::Status set_policy(const proto::ClusterLoadAssignment::Policy& policy,
                        upstream::LoadAssignment* out, const Path& path) {
  if (policy.has_overprovisioning_factor()) {
    out->overprovisioning_percent = policy.overprovisioning_factor().value();
    if (out->overprovisioning_percent == 0) {
      return path.field("overprovisioning_factor").error("must be greater than 0");
    }
  }
  if (policy.has_endpoint_stale_after()) {
    REMORA_TRY_ASSIGN(
        out->stale_after_ms,
        positive_milliseconds(policy.endpoint_stale_after(), path.field("endpoint_stale_after")));
  }
  return absl::OkStatus();
}

absl::Status check_locality_weights(const upstream::LoadAssignment& assignment, const Path& path) {
  std::map<uint32_t, uint64_t> weights;
  for (const auto& locality : assignment.localities) weights[locality.priority] += locality.weight;
  for (const auto& [priority, weight] : weights) {
    if (weight > std::numeric_limits<uint32_t>::max()) {
      return path.field("endpoints")
          .error(absl::StrCat("the sum of weights of the localities at priority ", priority,
                              " is above the maximum of a uint32"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<upstream::LoadAssignment> load_assignment(const proto::ClusterLoadAssignment& from,
                                                         EndpointNames names, Context& context,
                                                         const Path& path) {
  if (from.cluster_name().empty()) return path.field("cluster_name").error("is required");
  upstream::LoadAssignment out;
  out.cluster_name = from.cluster_name();
  for (int i = 0; i < from.endpoints_size(); ++i) {
    auto locality = locality_endpoints(from.endpoints(i), names, context, path.at("endpoints", i));
    if (!locality.ok()) return locality.status();
    out.localities.push_back(*std::move(locality));
  }
  REMORA_TRY(check_locality_weights(out, path));
  REMORA_TRY(set_policy(from.policy(), &out, path.field("policy")));
  out.content_hash = content_hash(from);
  return out;
}

absl::StatusOr<upstream::LoadAssignment> assignment(const proto::ClusterLoadAssignment& from,
                                                    Context& context) {
  context.resource = absl::StrCat("endpoints of '", from.cluster_name(), "'");
  const Path root;
  REMORA_TRY(context.check_unknown(from, root));
  return load_assignment(from, EndpointNames::Literal, context, root);
}

}  // namespace remora::xds::translate
