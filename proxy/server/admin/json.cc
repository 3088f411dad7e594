#include "proxy/server/admin/json.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

namespace remora::server {
namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

/// An Any whose message this binary does not have cannot be printed; what is printed instead is its
/// type URL.
void replace_unknown(Message* message) {
  if (auto* any = dynamic_cast<Any*>(message)) {
    size_t slash = any->type_url().rfind('/');
    std::string type =
        slash == std::string::npos ? any->type_url() : any->type_url().substr(slash + 1);
    const auto* pool = google::protobuf::DescriptorPool::generated_pool();
    const auto* descriptor = pool->FindMessageTypeByName(type);
    if (descriptor == nullptr) {
      google::protobuf::Struct note;
      (*note.mutable_fields())["unknown_type"].set_string_value(any->type_url());
      any->PackFrom(note);
      return;
    }
    std::unique_ptr<Message> inner(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
    if (!inner->ParseFromString(any->value())) return;
    replace_unknown(inner.get());
    std::string url = any->type_url();
    any->set_value(inner->SerializeAsString());
    any->set_type_url(url);
    return;
  }
  const auto* reflection = message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      replace_unknown(reflection->MutableMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(*message, field); ++i) {
      replace_unknown(reflection->MutableRepeatedMessage(message, field, i));
    }
  }
}

google::protobuf::util::JsonPrintOptions print_options() {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  return options;
}

std::string print(const Message& message, const google::protobuf::util::JsonPrintOptions& options) {
  std::string out;
  if (google::protobuf::util::MessageToJsonString(message, &out, options).ok()) return out;
  std::unique_ptr<Message> printable(message.New());
  printable->CopyFrom(message);
  replace_unknown(printable.get());
  out.clear();
  auto status = google::protobuf::util::MessageToJsonString(*printable, &out, options);
  if (!status.ok()) return "{\"error\": \"" + std::string(status.message()) + "\"}\n";
  return out;
}

}  // namespace

std::string to_json(const Message& message) { return print(message, print_options()); }

std::string to_json_with_defaults(const Message& message) {
  auto options = print_options();
  options.always_print_primitive_fields = true;
  return print(message, options);
}

void set_time(WallNs when, google::protobuf::Timestamp* out) {
  out->set_seconds(when / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(when % 1'000'000'000));
}

}  // namespace remora::server
