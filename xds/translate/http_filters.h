// The list of HTTP filters of a connection manager: part of its translation.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <string_view>
#include <vector>

#include "api/http_connection_manager.pb.h"
#include "proxy/connection_manager/config.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Refuses types that are unknown, unless the filter is optional, and a chain that does not end in
/// a terminal filter. `stats_prefix` is the connection manager's ("http.ingress").
absl::StatusOr<std::vector<connection_manager::HttpFilterConfig>> http_filters(
    const google::protobuf::RepeatedPtrField<
        envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter>& protos,
    std::string_view stats_prefix, Context& context, const Path& path);

}  // namespace remora::xds::translate
