// Policies of role-based access control, from their messages to what decides. For the HTTP and the
// network filter. Documents: envoy.config.rbac.v3.RBAC, xds.type.matcher.v3.Matcher. Pure
// functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "api/rbac.pb.h"
#include "api/xds_matcher.pb.h"
#include "proxy/policy/engine.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// What a policy is asked about. Over TCP there are no headers to ask for.
enum class PolicyLayer : unsigned char { Http, Network };

/// What cannot be decided as it is meant is refused, whatever is said about unknown fields.
absl::StatusOr<policy::Rules> rbac_rules(const envoy::config::rbac::v3::RBAC& proto,
                                         PolicyLayer layer, const Context& context,
                                         const Path& path);

absl::StatusOr<policy::MatchTree> rbac_tree(const ::xds::type::matcher::v3::Matcher& proto,
                                            PolicyLayer layer, const Context& context,
                                            const Path& path);

/// The two engines of a filter's message; `Proto` is that of either filter.
struct RbacEngines {
  std::shared_ptr<const policy::Engine> enforced, shadow;  // null: none
};

template <class Proto>
absl::StatusOr<RbacEngines> rbac_engines(const Proto& proto, PolicyLayer layer,
                                         const Context& context, const Path& path) {
  const auto engine = [](auto compiled, std::shared_ptr<const policy::Engine>* out) {
    if (compiled.ok()) *out = std::make_shared<const policy::Engine>(*std::move(compiled));
    return compiled.status();
  };
  RbacEngines out;
  absl::Status status;
  if (proto.has_matcher()) {
    status =
        engine(rbac_tree(proto.matcher(), layer, context, path.field("matcher")), &out.enforced);
  } else if (proto.has_rules()) {
    status = engine(rbac_rules(proto.rules(), layer, context, path.field("rules")), &out.enforced);
  }
  if (!status.ok()) return status;
  if (proto.has_shadow_matcher()) {
    status = engine(rbac_tree(proto.shadow_matcher(), layer, context, path.field("shadow_matcher")),
                    &out.shadow);
  } else if (proto.has_shadow_rules()) {
    status = engine(rbac_rules(proto.shadow_rules(), layer, context, path.field("shadow_rules")),
                    &out.shadow);
  }
  if (!status.ok()) return status;
  return out;
}

}  // namespace remora::xds::translate
