// A tree to a message by proto3's JSON mapping, in one walk along the message's descriptor.
#include <absl/container/flat_hash_map.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <algorithm>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/typed_struct_xds.pb.h"
#include "xds/translate/scalar_text.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/yaml_json.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;

using Kind = TreeNode::Kind;

// A message that is nested more deeply could be made and not be read again from its bytes.
constexpr int kMaxMessageDepth = 100;

/// What JSON has for a type of messages.
enum class Form { Fields, Any, Struct, Value, ListValue, Duration, Wrapper, Library };

Form form_of(const pb::Descriptor& type) {
  using Known = pb::Descriptor::WellKnownType;
  switch (type.well_known_type()) {
    case Known::WELLKNOWNTYPE_UNSPECIFIED:
      return Form::Fields;
    case Known::WELLKNOWNTYPE_ANY:
      return Form::Any;
    case Known::WELLKNOWNTYPE_STRUCT:
      return Form::Struct;
    case Known::WELLKNOWNTYPE_VALUE:
      return Form::Value;
    case Known::WELLKNOWNTYPE_LISTVALUE:
      return Form::ListValue;
    case Known::WELLKNOWNTYPE_DURATION:
      return Form::Duration;
    case Known::WELLKNOWNTYPE_TIMESTAMP:
    case Known::WELLKNOWNTYPE_FIELDMASK:
      return Form::Library;  // too rare here for code of their own
    default:
      return Form::Wrapper;
  }
}

/// What is asked of a type again and again.
struct Type {
  explicit Type(const pb::Descriptor& type)
      : form(form_of(type)), decisive(decisive_message(type)) {
    for (int i = 0; i < type.field_count(); ++i)
      fields.emplace(type.field(i)->name(), type.field(i));
    for (int i = 0; i < type.field_count(); ++i) {
      fields.emplace(type.field(i)->json_name(), type.field(i));
    }
  }

  Form form;
  bool decisive;
  absl::flat_hash_map<std::string_view, const pb::FieldDescriptor*> fields;  // both spellings
};

std::string shown(const TreeNode& node) {
  switch (node.kind) {
    case Kind::Null:
      return "null";
    case Kind::Bool:
      return node.truth ? "true" : "false";
    case Kind::Number:
      return std::string(node.text);
    case Kind::Text:
      return '"' + std::string(node.text) + '"';
    case Kind::List:
      return "a list";
    case Kind::Object:
      return "an object";
  }
  return {};
}

/// A value that a single field may have, and its message.
struct Place {
  pb::Message* message;
  const pb::FieldDescriptor& field;
};

template <class T>
absl::Status put(std::optional<T> value, const TreeNode& node, const Place& to, const Path& path,
                 void (pb::Reflection::*set)(pb::Message*, const pb::FieldDescriptor*, T) const,
                 void (pb::Reflection::*add)(pb::Message*, const pb::FieldDescriptor*, T) const) {
  if (!value) {
    return path.error(absl::StrCat("invalid value ", shown(node), " for type ",
                                   std::string(to.field.type_name())));
  }
  const auto how = to.field.is_repeated() ? add : set;
  (to.message->GetReflection()->*how)(to.message, &to.field, *std::move(value));
  return absl::OkStatus();
}

template <class T>
std::optional<T> numeric(std::optional<T> (*read)(std::string_view), const TreeNode& node) {
  if (!node.is(Kind::Number) && !node.is(Kind::Text)) return std::nullopt;
  return read(node.text);
}

std::optional<bool> truth(const TreeNode& node) {
  if (node.is(Kind::Bool)) return node.truth;
  bool read = false;
  const absl::string_view text(node.text.data(), node.text.size());
  if (node.is(Kind::Text) && absl::SimpleAtob(text, &read)) return read;
  return std::nullopt;
}

std::optional<std::string> bytes(const TreeNode& node, const pb::FieldDescriptor& field) {
  if (!node.is(Kind::Text)) return std::nullopt;
  if (field.type() == pb::FieldDescriptor::TYPE_BYTES) return from_base64(node.text);
  return std::string(node.text);
}

/// Everything but enums and messages.
absl::Status put_scalar(const TreeNode& node, const Place& to, const Path& path) {
  using pb::FieldDescriptor;
  using pb::Reflection;
  switch (to.field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return put(numeric(to_whole<int32_t>, node), node, to, path, &Reflection::SetInt32,
                 &Reflection::AddInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return put(numeric(to_whole<int64_t>, node), node, to, path, &Reflection::SetInt64,
                 &Reflection::AddInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return put(numeric(to_whole<uint32_t>, node), node, to, path, &Reflection::SetUInt32,
                 &Reflection::AddUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return put(numeric(to_whole<uint64_t>, node), node, to, path, &Reflection::SetUInt64,
                 &Reflection::AddUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return put(numeric(to_double, node), node, to, path, &Reflection::SetDouble,
                 &Reflection::AddDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return put(numeric(to_float, node), node, to, path, &Reflection::SetFloat,
                 &Reflection::AddFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return put(truth(node), node, to, path, &Reflection::SetBool, &Reflection::AddBool);
    case FieldDescriptor::CPPTYPE_STRING:
      return put(bytes(node, to.field), node, to, path, &Reflection::SetString,
                 &Reflection::AddString);
    case FieldDescriptor::CPPTYPE_ENUM:
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return path.error("is of a kind that text has no form for");
}

// ------------------------------------------------------------------------------------------------
class Converter {
 public:
  explicit Converter(const UnknownSink& sink) : sink_(sink) {}

  /// `decisive`: everything in there is. `depth`: of `out`.
  absl::Status message(const TreeNode& node, const Path& path, bool decisive, int depth,
                       pb::Message* out) {
    if (depth > kMaxMessageDepth) return path.error("is nested too deeply");
    const Type& type = type_of(*out->GetDescriptor());
    switch (type.form) {
      case Form::Any:
        return any(node, path, static_cast<pb::Any*>(out));
      case Form::Struct:
        return structure(node, path, depth, static_cast<pb::Struct*>(out));
      case Form::Value:
        return value(node, path, depth, static_cast<pb::Value*>(out));
      case Form::ListValue:
        return list_value(node, path, depth, static_cast<pb::ListValue*>(out));
      case Form::Duration:
        if (node.is(Kind::Object)) break;
        return duration(node, path, static_cast<pb::Duration*>(out));
      case Form::Wrapper:
        if (node.is(Kind::Object)) break;
        return put_scalar(node, {out, *out->GetDescriptor()->field(0)}, path);
      case Form::Library:
        if (node.is(Kind::Object)) break;
        return by_library(node, path, out);
      case Form::Fields:
        break;
    }
    if (!node.is(Kind::Object)) return path.error("is not an object");
    return fields(node, type, path, decisive || type.decisive, depth, out);
  }

 private:
  const Type& type_of(const pb::Descriptor& descriptor) {
    return types_.try_emplace(&descriptor, descriptor).first->second;
  }

  // The names come sorted: the same text always gives the same first error.
  absl::Status fields(const TreeNode& object, const Type& type, const Path& path, bool decisive,
                      int depth, pb::Message* out) {
    std::vector<const pb::FieldDescriptor*> seen;
    seen.reserve(object.count);
    for (const TreeNode& member : object.children()) {
      const auto found = type.fields.find(member.name);
      if (found == type.fields.end()) {
        unknown_field(member, path, decisive, *out);
        continue;
      }
      if (member.is(Kind::Null)) continue;
      const pb::FieldDescriptor& field = *found->second;
      if (std::ranges::find(seen, &field) != seen.end()) {
        const Path here = path.field(field.name());
        return here.error("is set twice");
      }
      seen.push_back(&field);
      if (absl::Status status = put_field(member, path, decisive, depth, {out, field});
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  void unknown_field(const TreeNode& member, const Path& path, bool decisive,
                     const pb::Message& in) {
    sink_({path.field(member.name).str(), "unknown field",
           decisive || decisive_field(*in.GetDescriptor(), member.name)});
  }

  absl::Status put_field(const TreeNode& node, const Path& path, bool decisive, int depth,
                         const Place& to) {
    const std::string& name = to.field.name();
    const Path here = path.field(name);
    if (to.field.is_map()) {
      if (!node.is(Kind::Object)) return here.error("is not an object");
      return map(node, path, decisive, depth, to);
    }
    if (!to.field.is_repeated()) return one(node, here, decisive, depth, to);
    if (!node.is(Kind::List)) return here.error("is not a list");
    size_t index = 0;
    for (const TreeNode& item : node.children()) {
      if (absl::Status status = one(item, path.at(name, index++), decisive, depth, to);
          !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  // Entries are made in a message of their own and merged as bytes: as reflection would leave them
  // here, they would be held twice.
  absl::Status map(const TreeNode& object, const Path& path, bool decisive, int depth,
                   const Place& to) {
    const std::unique_ptr<pb::Message> made(to.message->New());
    const pb::FieldDescriptor& key = *to.field.message_type()->map_key();
    const pb::FieldDescriptor& value = *to.field.message_type()->map_value();
    for (const TreeNode& member : object.children()) {
      const Path here = path.entry(to.field.name(), member.name);
      if (value.enum_type() != nullptr && !member.is(Kind::Null)) {
        const pb::EnumValueDescriptor* known = nullptr;
        if (absl::Status status = enum_value(member, here, decisive, value, &known); !status.ok()) {
          return status;
        }
        if (known == nullptr) continue;
      }
      pb::Message* entry = made->GetReflection()->AddMessage(made.get(), &to.field);
      TreeNode named;
      named.kind = Kind::Text;
      named.text = member.name;
      absl::Status status = key.cpp_type() == pb::FieldDescriptor::CPPTYPE_BOOL
                                ? put(truth(named), named, {entry, key}, here,
                                      &pb::Reflection::SetBool, &pb::Reflection::AddBool)
                                : put_scalar(named, {entry, key}, here);
      if (status.ok()) status = one(member, here, decisive, depth + 1, {entry, value});
      if (!status.ok()) return status;
    }
    std::string bytes;
    if (!made->SerializePartialToString(&bytes) || !to.message->MergeFromString(bytes)) {
      return path.field(to.field.name()).error("cannot be held");
    }
    return absl::OkStatus();
  }

  /// In a list or a map; elsewhere null is a field that is not set.
  bool takes_null(const pb::FieldDescriptor& field) {
    if (field.message_type() == nullptr) return false;
    const Form form = type_of(*field.message_type()).form;
    return form == Form::Fields || form == Form::Any || form == Form::Value;
  }

  /// One value of a field; unknown enum values are left out.
  absl::Status one(const TreeNode& node, const Path& path, bool decisive, int depth,
                   const Place& to) {
    if (node.is(Kind::Null) && !takes_null(to.field)) return absl::OkStatus();
    const bool is_enum = to.field.cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM;
    const pb::EnumValueDescriptor* named = nullptr;
    if (is_enum) {
      if (absl::Status status = enum_value(node, path, decisive, to.field, &named); !status.ok()) {
        return status;
      }
      if (named == nullptr) return absl::OkStatus();
    }
    const pb::Reflection& reflection = *to.message->GetReflection();
    if (const pb::OneofDescriptor* oneof = to.field.real_containing_oneof();
        oneof != nullptr && reflection.HasOneof(*to.message, oneof)) {
      return path.error(absl::StrCat("oneof '", oneof->name(), "' is set already, by '",
                                     reflection.GetOneofFieldDescriptor(*to.message, oneof)->name(),
                                     "'"));
    }
    if (is_enum) {
      return put<const pb::EnumValueDescriptor*>(named, node, to, path, &pb::Reflection::SetEnum,
                                                 &pb::Reflection::AddEnum);
    }
    if (to.field.message_type() == nullptr) return put_scalar(node, to, path);
    pb::Message* inner = to.field.is_repeated() ? reflection.AddMessage(to.message, &to.field)
                                                : reflection.MutableMessage(to.message, &to.field);
    return message(node, path, decisive, depth + 1, inner);
  }

  /// By name or by number; null for one that the API does not have.
  absl::Status enum_value(const TreeNode& node, const Path& path, bool decisive,
                          const pb::FieldDescriptor& field, const pb::EnumValueDescriptor** out) {
    const pb::EnumDescriptor& type = *field.enum_type();
    std::optional<int32_t> number;
    if (node.is(Kind::Text)) *out = type.FindValueByName(std::string(node.text));
    if (*out == nullptr) number = numeric(to_whole<int32_t>, node);
    if (number) *out = type.FindValueByNumber(*number);
    if (*out != nullptr) return absl::OkStatus();
    if (!number && !node.is(Kind::Text)) {
      return path.error(absl::StrCat("invalid value ", shown(node), " for type enum"));
    }
    sink_({path.str(), absl::StrCat("unknown enum value ", std::string(node.text)),
           decisive || decisive_field(*field.containing_type(), field.name())});
    return absl::OkStatus();
  }

  absl::Status any(const TreeNode& node, const Path& path, pb::Any* out) {
    if (!node.is(Kind::Object)) return path.error("is not an object");
    if (node.count == 0) return absl::OkStatus();
    const auto at = std::ranges::find(node.children(), "@type", &TreeNode::name);
    if (at == node.children().end() || !at->is(Kind::Text)) return path.error("has no @type");
    std::vector<TreeNode> rest(node.children().begin(), at);
    rest.insert(rest.end(), std::next(at), node.children().end());
    TreeNode content = node;
    content.first_child = rest.data();
    content.count = rest.size();
    const std::string type(type_name_of(at->text));
    const pb::Descriptor* known = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    if (known == nullptr) return wrapped(at->text, content, path, out);
    const std::unique_ptr<pb::Message> inner(
        pb::MessageFactory::generated_factory()->GetPrototype(known)->New());
    if (absl::Status status = in_any(content, path, inner.get()); !status.ok()) return status;
    out->set_type_url("type.googleapis.com/" + type);
    inner->SerializePartialToString(out->mutable_value());
    return absl::OkStatus();
  }

  /// What has a form of its own stands under "value".
  absl::Status in_any(const TreeNode& content, const Path& path, pb::Message* out) {
    const Type& type = type_of(*out->GetDescriptor());
    if (type.form == Form::Fields) return fields(content, type, path, type.decisive, 0, out);
    for (const TreeNode& member : content.children()) {
      if (member.name != "value") {
        unknown_field(member, path, type.decisive, *out);
      } else if (!member.is(Kind::Null) || type.form == Form::Value) {
        const Path here = path.field("value");
        if (absl::Status status = message(member, here, false, 0, out); !status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status wrapped(std::string_view url, const TreeNode& content, const Path& path,
                       pb::Any* out) {
    ::xds::type::v3::TypedStruct kept;
    kept.set_type_url(std::string(url));
    if (absl::Status status = structure(content, path, 1, kept.mutable_value()); !status.ok()) {
      return status;
    }
    out->PackFrom(kept);
    return absl::OkStatus();
  }

  absl::Status structure(const TreeNode& node, const Path& path, int depth, pb::Struct* out) {
    if (!node.is(Kind::Object)) return path.error("is not an object");
    for (const TreeNode& member : node.children()) {
      const Path here = path.field(member.name);
      pb::Value& entry = (*out->mutable_fields())[std::string(member.name)];
      // An entry is a message around the value.
      if (absl::Status status = value(member, here, depth + 2, &entry); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status list_value(const TreeNode& node, const Path& path, int depth, pb::ListValue* out) {
    if (!node.is(Kind::List)) return path.error("is not a list");
    for (const TreeNode& item : node.children()) {
      if (absl::Status status = value(item, path, depth + 1, out->add_values()); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status value(const TreeNode& node, const Path& path, int depth, pb::Value* out) {
    if (depth > kMaxMessageDepth) return path.error("is nested too deeply");
    switch (node.kind) {
      case Kind::Null:
        out->set_null_value(pb::NULL_VALUE);
        break;
      case Kind::Bool:
        out->set_bool_value(node.truth);
        break;
      case Kind::Number:
        if (const auto number = to_double(node.text)) {
          out->set_number_value(*number);
          break;
        }
        return path.error(
            absl::StrCat("invalid value ", std::string(node.text), " for type double"));
      case Kind::Text:
        out->set_string_value(std::string(node.text));
        break;
      case Kind::List:
        return list_value(node, path, depth + 1, out->mutable_list_value());
      case Kind::Object:
        return structure(node, path, depth + 1, out->mutable_struct_value());
    }
    return absl::OkStatus();
  }

  static absl::Status duration(const TreeNode& node, const Path& path, pb::Duration* out) {
    if (node.is(Kind::Text) && to_duration(node.text, out)) return absl::OkStatus();
    return path.error(
        absl::StrCat("invalid duration ", shown(node), ": must be seconds such as \"1.5s\""));
  }

  static absl::Status by_library(const TreeNode& node, const Path& path, pb::Message* out) {
    pb::StringValue text;
    text.set_value(std::string(node.text));
    std::string json;
    if (node.is(Kind::Text) && pb::util::MessageToJsonString(text, &json).ok() &&
        pb::util::JsonStringToMessage(json, out).ok()) {
      return absl::OkStatus();
    }
    return path.error(absl::StrCat("invalid value ", shown(node), " for type ",
                                   out->GetDescriptor()->full_name()));
  }

  const UnknownSink& sink_;
  std::unordered_map<const pb::Descriptor*, Type> types_;
};

}  // namespace

absl::Status to_message(const TreeNode& tree, const Path& path, pb::Message* out,
                        const UnknownSink& sink) {
  out->Clear();
  return Converter(sink).message(tree, path, false, 0, out);
}

}  // namespace remora::xds::translate
