// The list of HTTP filters of a connection manager: part of its translation.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <vector>

#include "api/http_connection_manager.pb.h"
#include "proxy/connection_manager/config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Refuses types that are unknown, unless the filter is optional, and a chain that does not end in
/// a terminal filter.
absl::StatusOr<std::vector<connection_manager::HttpFilterConfig>> http_filters(
    const google::protobuf::RepeatedPtrField<
        envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter>& protos,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
