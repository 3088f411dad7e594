// How a route changes path and host of a request, or of the location that it answers with. Pure
// functions; main thread.
#pragma once

#include <absl/status/statusor.h>
#include <re2/re2.h>

#include <memory>
#include <string>

#include "api/route.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

absl::Status read_substitution(const envoy::type::matcher::v3::RegexMatchAndSubstitute& from,
                               const Context& context, std::shared_ptr<const re2::RE2>* pattern,
                               std::string* substitution, const Path& path);

/// Everything but path_rewrite_policy.
absl::Status read_rewrites(const envoy::config::route::v3::RouteAction& proto,
                           const Context& context, router::ClusterAction* out, const Path& path);

/// path_rewrite_policy. `form` is that of the path_match_policy; null: there is none.
absl::Status read_template_rewrite(const envoy::config::core::v3::TypedExtensionConfig& proto,
                                   const re2::RE2* form, router::ClusterAction* out,
                                   const Path& path);

absl::StatusOr<router::RedirectAction> redirect_action(
    const envoy::config::route::v3::RedirectAction& proto, const Context& context,
    const Path& path);

}  // namespace remora::xds::translate
