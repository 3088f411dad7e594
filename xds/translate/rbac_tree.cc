// Matching trees of role-based access control; see rbac.h.
#include <utility>

#include "xds/translate/match_tree.h"
#include "xds/translate/rbac.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/unknown_fields.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Matcher = ::xds::type::matcher::v3::Matcher;
using policy::MatchTree;
using policy::Toward;

absl::StatusOr<MatchTree::Leaf> leaf(const ::xds::core::v3::TypedExtensionConfig& from,
                                     const Path& path) {
  namespace rbac = envoy::config::rbac::v3;
  const Path here = path.field("typed_config");
  auto action = unpack_as<rbac::Action>(from.typed_config(), here);
  if (!action.ok()) return action.status();
  if (action->name().empty()) return here.field("name").error("is required");
  switch (action->action()) {
    case rbac::RBAC::ALLOW:
      return MatchTree::Leaf{action->name(), policy::Action::Allow};
    case rbac::RBAC::DENY:
      return MatchTree::Leaf{action->name(), policy::Action::Deny};
    case rbac::RBAC::LOG:
      return MatchTree::Leaf{action->name(), policy::Action::Log};
    default:
      return here.field("action").error("is not supported");
  }
}

}  // namespace

absl::StatusOr<MatchTree> rbac_tree(const Matcher& proto, PolicyLayer layer, const Context& context,
                                    const Path& path) {
  absl::Status unknown;
  find_unknown(proto, path, [&](const Unknown& found) {
    if (unknown.ok()) unknown = Path(found.path).error(found.what);
  });
  if (!unknown.ok()) return unknown;
  const TreeUse use = layer == PolicyLayer::Http ? TreeUse::HttpPolicy : TreeUse::NetworkPolicy;
  MatchTree tree;
  const auto make_leaf = [&](const ::xds::core::v3::TypedExtensionConfig& action,
                             const Path& at) -> absl::StatusOr<Toward> {
    auto made = leaf(action, at);
    if (!made.ok()) return made.status();
    tree.leaves.push_back(*std::move(made));
    return tree.leaves.back().action == policy::Action::Deny ? Toward::Refuse : Toward::Grant;
  };
  REMORA_TRY_ASSIGN(tree.root, match_tree(proto, use, context, make_leaf, path));
  return tree;
}

}  // namespace remora::xds::translate
