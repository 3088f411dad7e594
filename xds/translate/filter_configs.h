// typed_per_filter_config: the overrides of HTTP filters that routes and virtual hosts carry,
// compiled by the filters that they are for. Main thread.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>

#include <memory>
#include <string>

#include "proxy/base/string_map.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

using FilterConfigs = StringMap<std::shared_ptr<const void>>;

/// By filter name. A type that no filter takes is refused unless the entry is optional.
absl::StatusOr<FilterConfigs> filter_configs(
    const google::protobuf::Map<std::string, google::protobuf::Any>& protos, Context& context,
    const Path& path);

}  // namespace remora::xds::translate
