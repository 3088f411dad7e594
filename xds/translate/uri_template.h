// Paths with wildcards: "/videos/*/{file=**}.m4s", as a regular expression. Pure function; any
// thread. Document: envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig.
#pragma once

#include <absl/status/statusor.h>
#include <re2/re2.h>

#include <memory>
#include <string_view>

namespace remora::xds::translate {

/// "*" is one segment, "**" any number of them and the last wildcard, "{name}" and "{name=pattern}"
/// the same with a name. What follows a wildcard in the last segment is a suffix.
absl::StatusOr<std::shared_ptr<const re2::RE2>> uri_template(std::string_view pattern);

}  // namespace remora::xds::translate
