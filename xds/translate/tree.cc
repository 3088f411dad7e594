#include "xds/translate/tree.h"

#include <algorithm>

namespace remora::xds::translate {

std::string_view Tree::keep(std::string_view text) {
  if (text.empty()) return {};
  auto* bytes = static_cast<char*>(memory_->allocate(text.size(), 1));
  std::ranges::copy(text, bytes);
  return {bytes, text.size()};
}

void Tree::set_children(std::span<const TreeNode> nodes, TreeNode* out) {
  out->count = nodes.size();
  if (nodes.empty()) return;
  auto* kept = static_cast<TreeNode*>(memory_->allocate(nodes.size_bytes(), alignof(TreeNode)));
  std::uninitialized_copy(nodes.begin(), nodes.end(), kept);
  out->first_child = kept;
}

void Tree::set_list(std::span<const TreeNode> nodes, TreeNode* out) {
  out->kind = TreeNode::Kind::List;
  set_children(nodes, out);
}

const TreeNode* Tree::set_object(std::span<TreeNode> nodes, TreeNode* out) {
  std::ranges::sort(nodes, {}, &TreeNode::name);
  out->kind = TreeNode::Kind::Object;
  set_children(nodes, out);
  const auto twice = std::ranges::adjacent_find(out->children(), {}, &TreeNode::name);
  if (twice == out->children().end()) return nullptr;
  return &*std::next(twice);
}

}  // namespace remora::xds::translate
