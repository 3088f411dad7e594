#include "proxy/server/admin/field_mask.h"

#include <absl/strings/str_split.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "xds/translate/typed_config.h"

namespace remora::server {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

/// What is wanted of a message: all of it, or some of its fields.
struct Wanted {
  bool all = false;
  std::map<std::string, Wanted, std::less<>> fields;
};

Wanted tree_of(const std::string& mask) {
  Wanted root;
  for (const absl::string_view path : absl::StrSplit(mask, ',', absl::SkipEmpty())) {
    Wanted* at = &root;
    for (const absl::string_view name : absl::StrSplit(path, '.')) {
      at = &at->fields[std::string(name)];
    }
    at->all = true;
  }
  return root;
}

bool keep(const Wanted& wanted, pb::Message* message);

bool keep_in_any(const Wanted& wanted, pb::Any* any) {
  auto inner =
      xds::translate::unpack(*any, xds::translate::Path(), [](const xds::translate::Unknown&) {});
  if (!inner.ok() || inner->message == nullptr || !keep(wanted, inner->message.get())) return false;
  any->PackFrom(*inner->message);
  return true;
}

/// Even where a field is not set the path has to make sense.
bool keep_in(const Wanted& wanted, const FieldDescriptor& field, pb::Message* message) {
  if (field.is_repeated() || field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return false;
  const pb::Reflection& reflection = *message->GetReflection();
  const bool is_set = reflection.HasField(*message, &field);
  pb::Message* inner = reflection.MutableMessage(message, &field);
  const bool any = inner->GetDescriptor()->full_name() == pb::Any::descriptor()->full_name();
  if (any) return !is_set || keep_in_any(wanted, static_cast<pb::Any*>(inner));
  const bool kept = keep(wanted, inner);
  if (!is_set) reflection.ClearField(message, &field);
  return kept;
}

bool keep(const Wanted& wanted, pb::Message* message) {
  const pb::Descriptor& type = *message->GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (wanted.fields.contains(field->name())) continue;
    message->GetReflection()->ClearField(message, field);
  }
  for (const auto& [name, below] : wanted.fields) {
    const FieldDescriptor* field = type.FindFieldByName(name);
    if (field == nullptr) return false;
    if (!below.all && !keep_in(below, *field, message)) return false;
  }
  return true;
}

}  // namespace

bool keep_fields(const std::string& mask, pb::Message* message) {
  return keep(tree_of(mask), message);
}

}  // namespace remora::server
