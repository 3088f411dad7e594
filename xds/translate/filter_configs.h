// typed_per_filter_config: the overrides of HTTP filters that weighted clusters, routes and virtual
// hosts carry, compiled by the filters that they are for. Main thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>

#include <string>

#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// By name of the filter. A type that no filter takes is refused unless the entry is optional.
absl::StatusOr<router::FilterOverrides> filter_configs(
    const google::protobuf::Map<std::string, google::protobuf::Any>& protos, Context& context,
    const Path& path);

}  // namespace remora::xds::translate
