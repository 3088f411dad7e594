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

/// The path that `rewrite` ("/v2/{name}") makes of one that has `form`, as RE2 writes it.
absl::StatusOr<std::string> uri_template_rewrite(std::string_view rewrite, const re2::RE2& form);

}  // namespace remora::xds::translate
