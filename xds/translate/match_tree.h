// Matching trees, from their message to what finds one of their leaves. What a leaf is knows who
// asks for the tree. Document: xds.type.matcher.v3.Matcher. Pure functions; main thread.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include "api/xds_matcher.pb.h"
#include "proxy/policy/engine.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// What a tree decides, which says what it may ask for.
enum class TreeUse : unsigned char { HttpPolicy, NetworkPolicy, Routes };

/// Makes a leaf of an action and answers what reaching it leads to. Leaves are numbered in the
/// order in which they are made.
using MakeLeaf = absl::FunctionRef<absl::StatusOr<policy::Toward>(
    const ::xds::core::v3::TypedExtensionConfig& action, const Path& path)>;

absl::StatusOr<policy::MatchTree::Node> match_tree(const ::xds::type::matcher::v3::Matcher& proto,
                                                   TreeUse use, const Context& context,
                                                   MakeLeaf make_leaf, const Path& path);

}  // namespace remora::xds::translate
