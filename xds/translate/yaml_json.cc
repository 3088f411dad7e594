#include "xds/translate/yaml_json.h"

#include <absl/strings/str_cat.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "xds/translate/json_text.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;

using Kind = TreeNode::Kind;

constexpr size_t kMaxNodes = 1'000'000;  // aliases can make a short text long

// ------------------------------------------------------------------------------------------------
// YAML
class YamlReader {
 public:
  explicit YamlReader(Tree* tree) : tree_(*tree) {}

  // Leaves the name of `out` alone.
  absl::Status read(const YAML::Node& node, int depth, TreeNode* out) {
    if (depth > kMaxTreeDepth) return absl::InvalidArgumentError("YAML is nested too deeply");
    if (++nodes_ > kMaxNodes) return absl::InvalidArgumentError("YAML has too many nodes");
    switch (node.Type()) {
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        out->kind = Kind::Null;
        return absl::OkStatus();
      case YAML::NodeType::Scalar:
        read_scalar(node, out);
        return absl::OkStatus();
      case YAML::NodeType::Sequence:
        return read_sequence(node, depth, out);
      case YAML::NodeType::Map:
        return read_map(node, depth, out);
    }
    return absl::InternalError("unknown kind of YAML node");
  }

 private:
  // A quoted scalar is text. A plain one is a boolean or an integer when it looks like one;
  // integers that a double may not hold stay text, as do fractions.
  void read_scalar(const YAML::Node& node, TreeNode* out) {
    out->kind = Kind::Text;
    if (node.Tag() != "!") {
      if (YAML::convert<bool>::decode(node, out->truth)) {
        out->kind = Kind::Bool;
        return;
      }
      int64_t number = 0;
      if (YAML::convert<int64_t>::decode(node, number)) {
        const bool narrow = number >= std::numeric_limits<int32_t>::min() &&
                            number <= std::numeric_limits<int32_t>::max();
        if (narrow) out->kind = Kind::Number;
        out->text = tree_.keep(std::to_string(number));
        return;
      }
    }
    out->text = tree_.keep(node.Scalar());
  }

  absl::Status read_sequence(const YAML::Node& node, int depth, TreeNode* out) {
    std::vector<TreeNode> items;
    items.reserve(node.size());
    for (const YAML::Node& item : node) {
      if (absl::Status status = read(item, depth + 1, &items.emplace_back()); !status.ok()) {
        return status;
      }
    }
    tree_.set_list(items, out);
    return absl::OkStatus();
  }

  absl::Status read_map(const YAML::Node& node, int depth, TreeNode* out) {
    std::vector<TreeNode> members;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return absl::InvalidArgumentError("YAML key is not a scalar");
      TreeNode& member = members.emplace_back();
      member.name = tree_.keep(entry.first.Scalar());
      if (absl::Status status = read(entry.second, depth + 1, &member); !status.ok()) {
        return status;
      }
    }
    if (const TreeNode* twice = tree_.set_object(members, out)) return duplicate(node, twice->name);
    return absl::OkStatus();
  }

  static absl::Status duplicate(const YAML::Node& map, std::string_view name) {
    int line = 0;
    for (const auto& entry : map) {
      if (entry.first.Scalar() == name) line = entry.first.Mark().line + 1;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("line ", line, ": duplicate key '", std::string(name), "'"));
  }

  Tree& tree_;
  size_t nodes_ = 0;
};

absl::StatusOr<Tree> parse_yaml(std::string_view text) {
  Tree tree;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty()) return tree;
    if (documents.size() > 1) return absl::InvalidArgumentError("more than one YAML document");
    if (absl::Status status = YamlReader(&tree).read(documents.front(), 0, &tree.root());
        !status.ok()) {
      return status;
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("line ", error.mark.line + 1, ": ", error.msg));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return tree;
}

// ------------------------------------------------------------------------------------------------
// A structure that came in a message
class StructReader {
 public:
  explicit StructReader(Tree* tree) : tree_(*tree) {}

  void read(const pb::Struct& from, TreeNode* out) {
    std::vector<TreeNode> members;
    members.reserve(from.fields().size());
    for (const auto& [name, value] : from.fields()) {
      TreeNode& member = members.emplace_back();
      member.name = name;
      read(value, &member);
    }
    tree_.set_object(members, out);
  }

 private:
  void read(const pb::Value& from, TreeNode* out) {
    switch (from.kind_case()) {
      case pb::Value::kNullValue:
      case pb::Value::KIND_NOT_SET:
        break;
      case pb::Value::kBoolValue:
        out->kind = Kind::Bool;
        out->truth = from.bool_value();
        break;
      case pb::Value::kNumberValue:
        read_number(from.number_value(), out);
        break;
      case pb::Value::kStringValue:
        out->kind = Kind::Text;
        out->text = from.string_value();
        break;
      case pb::Value::kListValue:
        read_list(from.list_value(), out);
        break;
      case pb::Value::kStructValue:
        read(from.struct_value(), out);
        break;
    }
  }

  void read_list(const pb::ListValue& from, TreeNode* out) {
    std::vector<TreeNode> items(static_cast<size_t>(from.values_size()));
    for (int i = 0; i < from.values_size(); ++i)
      read(from.values(i), &items[static_cast<size_t>(i)]);
    tree_.set_list(items, out);
  }

  void read_number(double number, TreeNode* out) {
    char text[32];
    const auto end = std::to_chars(std::begin(text), std::end(text), number).ptr;
    // What is no number fits no number's field either.
    out->kind = std::isfinite(number) ? Kind::Number : Kind::Text;
    out->text = tree_.keep({text, static_cast<size_t>(end - text)});
  }

  Tree& tree_;
};

size_t ascii_length(std::string_view text) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  size_t i = 0;
  for (uint64_t word = 0; text.size() - i >= sizeof(word); i += sizeof(word)) {
    std::memcpy(&word, text.data() + i, sizeof(word));
    if ((word & kHighBits) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

// Without overlong forms, surrogates and what lies beyond U+10FFFF.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    i += ascii_length(text.substr(i));
    if (i == text.size()) break;
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || text.size() - i < length) return false;
    uint32_t point = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3fu);
    }
    constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < kSmallest[length] || (point >= 0xd800 && point < 0xe000) || point > 0x10ffff) {
      return false;
    }
    i += length;
  }
  return true;
}

}  // namespace

Syntax syntax_of(std::string_view file_name) {
  return file_name.ends_with(".json") ? Syntax::Json : Syntax::Yaml;
}

absl::StatusOr<Tree> parse_tree(std::string_view text, Syntax syntax) {
  if (!is_utf8(text)) return absl::InvalidArgumentError("is not UTF-8");
  return syntax == Syntax::Json ? parse_json_text(text) : parse_yaml(text);
}

absl::Status to_message(const pb::Struct& from, const Path& path, pb::Message* out,
                        const UnknownSink& sink) {
  Tree tree;
  StructReader(&tree).read(from, &tree.root());
  return to_message(tree.root(), path, out, sink);
}

absl::Status text_to_message(std::string_view text, Syntax syntax, pb::Message* out,
                             const UnknownSink& sink) {
  const auto tree = parse_tree(text, syntax);
  if (!tree.ok()) return tree.status();
  if (tree->root().is(Kind::Null)) return absl::OkStatus();
  return to_message(tree->root(), Path(), out, sink);
}

}  // namespace remora::xds::translate
