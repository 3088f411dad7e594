// Metadata of hosts, and in name space envoy.lb what routes ask of them. Document:
// envoy.config.core.v3.Metadata. Pure functions; main thread.
#pragma once

#include <memory>

#include "api/core.pb.h"
#include "proxy/base/metadata.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/metadata_criteria.h"

namespace remora::xds::translate {

/// All that is known of a host; null: nothing.
std::shared_ptr<const Metadata> host_metadata(const envoy::config::core::v3::Metadata& from);

MetadataStruct metadata_struct(const google::protobuf::Struct& from);

/// What is said of how to reach a host.
upstream::TransportLabels transport_labels(const google::protobuf::Struct& from);

/// Null: `from` has nothing in that name space.
std::shared_ptr<const upstream::HostLabels> host_labels(
    const envoy::config::core::v3::Metadata& from);

/// `parent`, which may be null, with what `from` asks besides; null: neither asks for anything.
std::shared_ptr<const upstream::MetadataCriteria> metadata_criteria(
    const envoy::config::core::v3::Metadata& from,
    const std::shared_ptr<const upstream::MetadataCriteria>& parent);

}  // namespace remora::xds::translate
