// Conditions on metadata. Document: envoy.type.matcher.v3.MetadataMatcher. Pure function; main
// thread.
#pragma once

#include <absl/status/statusor.h>

#include "api/matcher.pb.h"
#include "proxy/router/value_match.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::StatusOr<router::MetadataMatch> metadata_match(
    const envoy::type::matcher::v3::MetadataMatcher& proto, const Context& context,
    const Path& path);

}  // namespace remora::xds::translate
