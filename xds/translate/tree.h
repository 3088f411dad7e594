// A text's values as a tree, on memory of its own that is given back as a whole. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

namespace remora::xds::translate {

/// How deep a tree may be: deeper than any message that can be read.
inline constexpr int kMaxTreeDepth = 100;

/// One value, and the name under which it stands in an object.
struct TreeNode {
  enum class Kind : uint8_t { Null, Bool, Number, Text, List, Object };

  bool is(Kind other) const { return kind == other; }
  /// What a list or an object has; an object's members are sorted by name, and no name is there
  /// twice.
  std::span<const TreeNode> children() const { return {first_child, count}; }

  std::string_view name;
  std::string_view text;  // a text's content; a number as it is written, in JSON's way
  const TreeNode* first_child = nullptr;
  size_t count = 0;
  Kind kind = Kind::Null;
  bool truth = false;
};

/// Owns what its nodes refer to, but for text that its reader says it left where it was.
class Tree {
 public:
  Tree() : memory_(std::make_unique<std::pmr::monotonic_buffer_resource>()) {}

  const TreeNode& root() const { return root_; }
  TreeNode& root() { return root_; }

  std::string_view keep(std::string_view text);
  /// Makes `out` a list of `nodes`, or an object of them: then sorts them first. Answers the second
  /// of two members of the same name, if there are such.
  void set_list(std::span<const TreeNode> nodes, TreeNode* out);
  const TreeNode* set_object(std::span<TreeNode> nodes, TreeNode* out);

 private:
  void set_children(std::span<const TreeNode> nodes, TreeNode* out);

  std::unique_ptr<std::pmr::monotonic_buffer_resource> memory_;
  TreeNode root_;
};

}  // namespace remora::xds::translate
