#include "xds/translate/host_connections.h"

#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Cluster = envoy::config::cluster::v3::Cluster;
using Options = envoy::config::cluster::v3::UpstreamConnectionOptions;

absl::Status read_ratio(const google::protobuf::DoubleValue& from, double* out, const Path& path) {
  constexpr double kMost = 3;
  *out = from.value();
  return *out >= 1 && *out <= kMost ? absl::OkStatus() : path.error("must be from 1 to 3");
}

absl::Status read_preconnect(const Cluster::PreconnectPolicy& from, upstream::Preconnect* out,
                             const Path& path) {
  if (from.has_per_upstream_preconnect_ratio()) {
    REMORA_TRY(read_ratio(from.per_upstream_preconnect_ratio(), &out->of_host,
                          path.field("per_upstream_preconnect_ratio")));
  }
  if (!from.has_predictive_preconnect_ratio()) return absl::OkStatus();
  return read_ratio(from.predictive_preconnect_ratio(), &out->of_cluster,
                    path.field("predictive_preconnect_ratio"));
}

absl::Status read_address_order(const Options::HappyEyeballsConfig& from,
                                upstream::AddressOrder* out, const Path& path) {
  switch (from.first_address_family_version()) {
    case Options::DEFAULT:
      break;
    case Options::V4:
      out->first = Address::Family::V4;
      break;
    case Options::V6:
      out->first = Address::Family::V6;
      break;
    case Options::PIPE:
      out->first = Address::Family::Unix;
      break;
    default:
      return path.field("first_address_family_version").error("is not supported");
  }
  if (!from.has_first_address_family_count()) return absl::OkStatus();
  out->first_count = from.first_address_family_count().value();
  return out->first_count > 0
             ? absl::OkStatus()
             : path.field("first_address_family_count").error("must be at least 1");
}

absl::Status read_metadata_key(const envoy::type::metadata::v3::MetadataKey& from,
                               std::vector<std::string>* out, const Path& path) {
  if (from.key().empty()) return path.field("key").error("is required");
  if (from.path().empty()) return path.field("path").error("must not be empty");
  out->push_back(from.key());
  for (int i = 0; i < from.path_size(); ++i) {
    const Path at = path.at("path", i);
    if (from.path(i).key().empty()) return at.field("key").error("is required");
    out->push_back(from.path(i).key());
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status read_host_connections(const Cluster& cluster, upstream::BalancingConfig* out,
                                   const Path& path) {
  REMORA_TRY(read_preconnect(cluster.preconnect_policy(), &out->preconnect,
                             path.field("preconnect_policy")));
  REMORA_TRY(read_address_order(cluster.upstream_connection_options().happy_eyeballs_config(),
                                &out->address_order,
                                path.field("upstream_connection_options.happy_eyeballs_config")));
  if (!cluster.original_dst_lb_config().has_metadata_key()) return absl::OkStatus();
  return read_metadata_key(cluster.original_dst_lb_config().metadata_key(),
                           &out->original_dst_metadata,
                           path.field("original_dst_lb_config.metadata_key"));
}

}  // namespace remora::xds::translate
