// What DNS clusters and DNS caches say alike: families, rates, name servers. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <vector>

#include "api/cluster.pb.h"
#include "api/dns_cache.pb.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/dns_cache.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

upstream::DnsFamily dns_family(envoy::config::cluster::v3::Cluster::DnsLookupFamily family);

absl::StatusOr<uint64_t> refresh_interval(const google::protobuf::Duration& duration,
                                          const Path& path);

absl::Status read_failure_rate(const envoy::config::cluster::v3::Cluster::RefreshRate& from,
                               uint64_t* base_ms, uint64_t* max_ms, const Path& path);

absl::StatusOr<std::vector<Address>> dns_servers(
    const envoy::config::core::v3::TypedExtensionConfig& from, Context& context, const Path& path);

/// The cache that a dynamic forward proxy's filter or cluster names.
absl::StatusOr<std::shared_ptr<upstream::DnsCache>> dns_cache(
    const envoy::extensions::common::dynamic_forward_proxy::v3::DnsCacheConfig& from,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
