#include "xds/translate/yaml_json.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "xds/translate/typed_config.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;

constexpr int kMaxDepth = 64;
constexpr size_t kMaxNodes = 1'000'000;  // aliases can make a short text long

// ------------------------------------------------------------------------------------------------
// YAML
class YamlReader {
 public:
  absl::Status read(const YAML::Node& node, int depth, pb::Value* out) {
    if (depth > kMaxDepth) return absl::InvalidArgumentError("YAML is nested too deeply");
    if (++nodes_ > kMaxNodes) return absl::InvalidArgumentError("YAML has too many nodes");
    switch (node.Type()) {
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        out->set_null_value(pb::NULL_VALUE);
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
  static void read_scalar(const YAML::Node& node, pb::Value* out) {
    if (node.Tag() != "!") {
      bool truth = false;
      if (YAML::convert<bool>::decode(node, truth)) return out->set_bool_value(truth);
      int64_t number = 0;
      if (YAML::convert<int64_t>::decode(node, number)) {
        if (number >= std::numeric_limits<int32_t>::min() &&
            number <= std::numeric_limits<int32_t>::max()) {
          return out->set_number_value(static_cast<double>(number));
        }
        return out->set_string_value(std::to_string(number));
      }
    }
    out->set_string_value(node.Scalar());
  }

  absl::Status read_sequence(const YAML::Node& node, int depth, pb::Value* out) {
    auto& list = *out->mutable_list_value();
    for (const YAML::Node& item : node) {
      if (absl::Status status = read(item, depth + 1, list.add_values()); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status read_map(const YAML::Node& node, int depth, pb::Value* out) {
    auto& fields = *out->mutable_struct_value()->mutable_fields();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return absl::InvalidArgumentError("YAML key is not a scalar");
      const std::string& key = entry.first.Scalar();
      if (fields.contains(key)) {
        return absl::InvalidArgumentError(
            absl::StrCat("line ", entry.first.Mark().line + 1, ": duplicate key '", key, "'"));
      }
      if (absl::Status status = read(entry.second, depth + 1, &fields[key]); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  size_t nodes_ = 0;
};

absl::StatusOr<pb::Value> parse_yaml(std::string_view text) {
  pb::Value tree;
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.empty()) return tree;
    if (documents.size() > 1) return absl::InvalidArgumentError("more than one YAML document");
    if (absl::Status status = YamlReader().read(documents.front(), 0, &tree); !status.ok()) {
      return status;
    }
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("line ", error.mark.line + 1, ": ", error.msg));
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return tree;
}

absl::StatusOr<pb::Value> parse_json(std::string_view text) {
  pb::Value tree;
  const auto status =
      pb::util::JsonStringToMessage(pb::StringPiece(text.data(), text.size()), &tree);
  if (!status.ok()) return absl::InvalidArgumentError(status.message().ToString());
  return tree;
}

// ------------------------------------------------------------------------------------------------
// shape Goes through a tree along a message's descriptor and takes out what the message does not
// have.
class Pruner {
 public:
  explicit Pruner(const UnknownSink& sink) : sink_(sink) {}

  absl::Status prune(pb::Value* tree, const pb::Descriptor& type, const Path& path, bool decisive) {
    if (type.full_name() == pb::Any::descriptor()->full_name()) return prune_any(tree, path);
    if (type.file()->package() == "google.protobuf")
      return absl::OkStatus();  // has a form of its own
    if (tree->kind_case() != pb::Value::kStructValue) return path.error("is not an object");
    return prune_fields(tree->mutable_struct_value(), type, path,
                        decisive || decisive_message(type));
  }

 private:
  absl::Status prune_fields(pb::Struct* object, const pb::Descriptor& type, const Path& path,
                            bool decisive) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : object->fields()) keys.push_back(key);
    std::ranges::sort(keys);  // the same text always gives the same first error
    std::set<const pb::FieldDescriptor*> seen;
    auto& fields = *object->mutable_fields();
    for (const std::string& key : keys) {
      const pb::FieldDescriptor* field = find(type, key);
      if (field == nullptr) {
        sink_({path.field(key).str(), "unknown field", decisive || decisive_field(type, key)});
        fields.erase(key);
        continue;
      }
      if (fields[key].kind_case() == pb::Value::kNullValue) {
        fields.erase(key);
        continue;
      }
      const Path here = path.field(field->name());
      if (!seen.insert(field).second) return here.error("is set twice");
      bool keep = true;
      if (absl::Status status = prune_field(&fields[key], *field, path, decisive, &keep);
          !status.ok()) {
        return status;
      }
      if (!keep) fields.erase(key);
    }
    return absl::OkStatus();
  }

  static const pb::FieldDescriptor* find(const pb::Descriptor& type, const std::string& key) {
    if (const pb::FieldDescriptor* field = type.FindFieldByName(key)) return field;
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->json_name() == key) return type.field(i);
    }
    return nullptr;
  }

  absl::Status prune_field(pb::Value* value, const pb::FieldDescriptor& field, const Path& path,
                           bool decisive, bool* keep) {
    if (field.is_map()) return prune_map(value, field, path, decisive);
    if (!field.is_repeated()) {
      return prune_one(value, field, path.field(field.name()), decisive, keep);
    }
    if (value->kind_case() != pb::Value::kListValue) {
      return path.field(field.name()).error("is not a list");
    }
    auto& items = *value->mutable_list_value()->mutable_values();
    for (int i = 0; i < items.size();) {
      bool keep_item = true;
      if (absl::Status status =
              prune_one(&items[i], field, path.at(field.name(), i), decisive, &keep_item);
          !status.ok()) {
        return status;
      }
      if (keep_item) {
        ++i;
      } else {
        items.DeleteSubrange(i, 1);
      }
    }
    return absl::OkStatus();
  }

  absl::Status prune_map(pb::Value* value, const pb::FieldDescriptor& field, const Path& path,
                         bool decisive) {
    if (value->kind_case() != pb::Value::kStructValue) {
      return path.field(field.name()).error("is not an object");
    }
    const pb::FieldDescriptor& inner = *field.message_type()->map_value();
    for (auto& [key, entry] : *value->mutable_struct_value()->mutable_fields()) {
      bool keep = true;
      if (absl::Status status =
              prune_one(&entry, inner, path.entry(field.name(), key), decisive, &keep);
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status prune_one(pb::Value* value, const pb::FieldDescriptor& field, const Path& path,
                         bool decisive, bool* keep) {
    if (field.message_type() != nullptr) {
      return prune(value, *field.message_type(), path, decisive);
    }
    if (field.enum_type() != nullptr && !is_known(*value, *field.enum_type())) {
      const std::string said = value->kind_case() == pb::Value::kStringValue
                                   ? value->string_value()
                                   : absl::StrCat(value->number_value());
      sink_({path.str(), absl::StrCat("unknown enum value ", said),
             decisive || decisive_field(*field.containing_type(), field.name())});
      *keep = false;
    }
    return absl::OkStatus();
  }

  // Answers true for kinds of values that are an error of another sort.
  static bool is_known(const pb::Value& value, const pb::EnumDescriptor& type) {
    if (value.kind_case() == pb::Value::kStringValue) {
      if (type.FindValueByName(value.string_value()) != nullptr) return true;
      int number = 0;
      return absl::SimpleAtoi(value.string_value(), &number) &&
             type.FindValueByNumber(number) != nullptr;
    }
    if (value.kind_case() == pb::Value::kNumberValue) {
      const double number = value.number_value();
      return number < -2147483648.0 || number > 2147483647.0 ||
             type.FindValueByNumber(static_cast<int>(number)) != nullptr;
    }
    return true;
  }

  absl::Status prune_any(pb::Value* tree, const Path& path) {
    if (tree->kind_case() != pb::Value::kStructValue) return path.error("is not an object");
    auto& fields = *tree->mutable_struct_value()->mutable_fields();
    auto at = fields.find("@type");
    if (at == fields.end() || at->second.kind_case() != pb::Value::kStringValue) {
      if (fields.empty()) return absl::OkStatus();
      return path.error("has no @type");
    }
    const std::string url = at->second.string_value();
    const std::string type(type_name_of(url));
    const pb::Descriptor* known = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    if (known == nullptr) {
      wrap_unknown(url, tree);
      return absl::OkStatus();
    }
    if (known->file()->package() == "google.protobuf") return absl::OkStatus();
    fields.erase(at);
    absl::Status status =
        prune_fields(tree->mutable_struct_value(), *known, path, decisive_message(*known));
    fields["@type"].set_string_value("type.googleapis.com/" + type);
    return status;
  }

  static void wrap_unknown(const std::string& url, pb::Value* tree) {
    pb::Value inner;
    inner.Swap(tree);
    inner.mutable_struct_value()->mutable_fields()->erase("@type");
    auto& fields = *tree->mutable_struct_value()->mutable_fields();
    fields["@type"].set_string_value("type.googleapis.com/xds.type.v3.TypedStruct");
    fields["type_url"].set_string_value(url);
    fields["value"].Swap(&inner);
  }

  const UnknownSink& sink_;
};

// Without overlong forms, surrogates and what lies beyond U+10FFFF.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
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

// Protobuf says "(a.b): what", or "(a) b: what", when it knows where.
absl::Status misfit(const Path& path, std::string_view said) {
  const size_t end = said.find(')');
  const size_t colon = end == std::string_view::npos ? end : said.find(": ", end);
  if (!said.starts_with('(') || colon == std::string_view::npos) return path.error(said);
  const Path outer = path.field(said.substr(1, end - 1));
  const std::string_view what = said.substr(colon + 2);
  return colon == end + 1 ? outer.error(what)
                          : outer.field(said.substr(end + 2, colon - end - 2)).error(what);
}

}  // namespace

Syntax syntax_of(std::string_view file_name) {
  return file_name.ends_with(".json") ? Syntax::Json : Syntax::Yaml;
}

absl::StatusOr<pb::Value> parse_tree(std::string_view text, Syntax syntax) {
  if (!is_utf8(text)) return absl::InvalidArgumentError("is not UTF-8");
  return syntax == Syntax::Json ? parse_json(text) : parse_yaml(text);
}

absl::Status to_message(const pb::Value& tree, const Path& path, pb::Message* out,
                        const UnknownSink& sink) {
  pb::Value shaped = tree;
  if (absl::Status status = Pruner(sink).prune(&shaped, *out->GetDescriptor(), path, false);
      !status.ok()) {
    return status;
  }
  std::string json;
  if (const auto status = pb::util::MessageToJsonString(shaped, &json); !status.ok()) {
    return path.error(status.message().ToString());
  }
  if (const auto status = pb::util::JsonStringToMessage(json, out); !status.ok()) {
    return misfit(path, status.message().ToString());
  }
  return absl::OkStatus();
}

absl::Status text_to_message(std::string_view text, Syntax syntax, pb::Message* out,
                             const UnknownSink& sink) {
  auto tree = parse_tree(text, syntax);
  if (!tree.ok()) return tree.status();
  if (tree->kind_case() == pb::Value::KIND_NOT_SET || tree->has_null_value()) {
    return absl::OkStatus();
  }
  return to_message(*tree, Path(), out, sink);
}

}  // namespace remora::xds::translate
