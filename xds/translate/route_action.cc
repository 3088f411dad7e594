#include "xds/translate/route_action.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <limits>
#include <optional>

#include "xds/translate/filter_configs.h"
#include "xds/translate/hash_policies.h"
#include "xds/translate/header_edits.h"
#include "xds/translate/host_metadata.h"
#include "xds/translate/retry_policy.h"
#include "xds/translate/route_rewrite.h"
#include "xds/translate/runtime.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/upgrade.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace route = envoy::config::route::v3;

/// Which cluster, and as which host it is asked.
absl::Status read_part(const route::WeightedCluster::ClusterWeight& from,
                       router::WeightedCluster* out, const Path& path) {
  if (from.name().empty() == from.cluster_header().empty()) {
    return path.error("needs either name or cluster_header");
  }
  out->name = from.name();
  if (!from.cluster_header().empty()) {
    REMORA_TRY(check_header_name(from.cluster_header(), path.field("cluster_header")));
    out->cluster_header = request_header_name(from.cluster_header());
  }
  out->host_rewrite_literal = from.host_rewrite_literal();
  return check_header_value(from.host_rewrite_literal(), path.field("host_rewrite_literal"));
}

/// That of the runtime stands for that of the configuration.
uint32_t weight(const route::WeightedCluster& all, const route::WeightedCluster::ClusterWeight& one,
                const Context& context) {
  std::optional<double> other;
  if (!all.runtime_key_prefix().empty() && context.runtime != nullptr) {
    other = context.runtime->number(absl::StrCat(all.runtime_key_prefix(), ".", one.name()));
  }
  const bool fits = other && *other >= 0 && *other <= std::numeric_limits<uint32_t>::max();
  return fits ? static_cast<uint32_t>(*other) : one.weight().value();
}

/// What chooses among the clusters, in place of chance.
absl::Status read_chooser(const route::WeightedCluster& proto, router::ClusterAction* out,
                          const Path& path) {
  if (!proto.header_name().empty()) {
    REMORA_TRY(check_header_name(proto.header_name(), path.field("header_name")));
    out->weight_header = request_header_name(proto.header_name());
  }
  out->weighs_by_hash = proto.use_hash_policy().value();
  return absl::OkStatus();
}

/// `proto` may add to what the whole route asks of hosts.
absl::Status read_weighted(const route::WeightedCluster& proto, Context& context,
                           router::ClusterAction* out, const Path& path) {
  if (proto.clusters_size() == 0) return path.field("clusters").error("must not be empty");
  REMORA_TRY(read_chooser(proto, out, path));
  for (int i = 0; i < proto.clusters_size(); ++i) {
    const auto& cluster = proto.clusters(i);
    const Path here = path.at("clusters", i);
    router::WeightedCluster weighted;
    REMORA_TRY(read_part(cluster, &weighted, here));
    weighted.weight = weight(proto, cluster, context);
    REMORA_TRY(set_header_edits(cluster, here, &weighted.request_edits, &weighted.response_edits));
    REMORA_TRY_ASSIGN(weighted.filter_configs,
                      filter_configs(cluster.typed_per_filter_config(), context, here));
    weighted.metadata_match = metadata_criteria(cluster.metadata_match(), out->metadata_match);
    out->total_weight += weighted.weight;
    out->weighted.push_back(std::move(weighted));
  }
  if (out->total_weight == 0) return path.error("the sum of weights must be greater than 0");
  if (out->total_weight > std::numeric_limits<uint32_t>::max()) {
    return path.error("the sum of weights is above the maximum of a uint32");
  }
  if (proto.has_total_weight() && proto.total_weight().value() != out->total_weight) {
    return path.field("total_weight").error("is not the sum of weights");
  }
  return absl::OkStatus();
}

absl::Status read_destination(const route::RouteAction& proto, Context& context,
                              router::ClusterAction* out, const Path& path) {
  switch (proto.cluster_specifier_case()) {
    case route::RouteAction::kCluster:
      if (proto.cluster().empty()) return path.field("cluster").error("is required");
      out->cluster = proto.cluster();
      return absl::OkStatus();
    case route::RouteAction::kClusterHeader:
      REMORA_TRY(check_header_name(proto.cluster_header(), path.field("cluster_header")));
      out->cluster_header = request_header_name(proto.cluster_header());
      return absl::OkStatus();
    case route::RouteAction::kWeightedClusters:
      return read_weighted(proto.weighted_clusters(), context, out,
                           path.field("weighted_clusters"));
    case route::RouteAction::CLUSTER_SPECIFIER_NOT_SET:
      return path.error("has no cluster specifier that is supported");
  }
  return absl::OkStatus();
}

absl::Status read_duration(bool present, const google::protobuf::Duration& from,
                           std::optional<uint64_t>* out, const Path& path) {
  if (!present) return absl::OkStatus();
  REMORA_TRY_ASSIGN(*out, milliseconds(from, path));
  return absl::OkStatus();
}

absl::Status read_grpc_timeout(const route::RouteAction& proto, router::GrpcTimeout* out,
                               const Path& path) {
  REMORA_TRY(read_duration(proto.has_max_grpc_timeout(), proto.max_grpc_timeout(), &out->max_ms,
                           path.field("max_grpc_timeout")));
  if (proto.has_grpc_timeout_offset()) {
    REMORA_TRY_ASSIGN(out->offset_ms,
                      milliseconds(proto.grpc_timeout_offset(), path.field("grpc_timeout_offset")));
  }
  return absl::OkStatus();
}

absl::Status read_stream_duration(const route::RouteAction::MaxStreamDuration& proto,
                                  router::ClusterAction* out, const Path& path) {
  out->bounds_streams = true;
  REMORA_TRY(read_duration(proto.has_max_stream_duration(), proto.max_stream_duration(),
                           &out->max_stream_duration_ms, path.field("max_stream_duration")));
  REMORA_TRY(read_duration(proto.has_grpc_timeout_header_max(), proto.grpc_timeout_header_max(),
                           &out->grpc_timeout_header.max_ms,
                           path.field("grpc_timeout_header_max")));
  if (proto.has_grpc_timeout_header_offset()) {
    REMORA_TRY_ASSIGN(
        out->grpc_timeout_header.offset_ms,
        milliseconds(proto.grpc_timeout_header_offset(), path.field("grpc_timeout_header_offset")));
  }
  return absl::OkStatus();
}

absl::Status read_timeouts(const route::RouteAction& proto, router::ClusterAction* out,
                           const Path& path) {
  if (proto.has_timeout()) {
    REMORA_TRY_ASSIGN(out->timeout_ms, milliseconds(proto.timeout(), path.field("timeout")));
  }
  REMORA_TRY(read_duration(proto.has_idle_timeout(), proto.idle_timeout(), &out->idle_timeout_ms,
                           path.field("idle_timeout")));
  REMORA_TRY(read_grpc_timeout(proto, &out->max_grpc_timeout, path));
  if (!proto.has_max_stream_duration()) return absl::OkStatus();
  return read_stream_duration(proto.max_stream_duration(), out, path.field("max_stream_duration"));
}

uint16_t not_found_status(route::RouteAction::ClusterNotFoundResponseCode code) {
  if (code == route::RouteAction::NOT_FOUND) return 404;
  return code == route::RouteAction::INTERNAL_SERVER_ERROR ? 500 : 503;
}

}  // namespace

absl::StatusOr<router::ClusterAction> cluster_action(const route::RouteAction& proto,
                                                     Context& context, const Path& path) {
  router::ClusterAction out;
  out.metadata_match = metadata_criteria(proto.metadata_match(), nullptr);
  REMORA_TRY(read_destination(proto, context, &out, path));
  REMORA_TRY(read_rewrites(proto, context, &out, path));
  REMORA_TRY(read_timeouts(proto, &out, path));
  REMORA_TRY(read_hash_policies(proto, context, &out, path));
  REMORA_TRY(read_upgrades(proto, context, &out, path));
  out.cluster_not_found_status = not_found_status(proto.cluster_not_found_response_code());
  out.high_priority = proto.priority() == envoy::config::core::v3::HIGH;
  REMORA_TRY(set_retries(proto, context, &out, path));
  return out;
}

absl::StatusOr<router::DirectAction> direct_action(const route::DirectResponseAction& proto,
                                                   size_t max_body_bytes, const Path& path) {
  if (proto.status() < 200 || proto.status() >= 600) {
    return path.field("status").error("must be from 200 to 599");
  }
  router::DirectAction out;
  out.status = static_cast<uint16_t>(proto.status());
  if (proto.has_body()) {
    REMORA_TRY_ASSIGN(out.body, data_source(proto.body(), path.field("body"), max_body_bytes));
  }
  return out;
}

}  // namespace remora::xds::translate
