#include "xds/translate/typed_config.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>

#include "api/typed_struct_udpa.pb.h"
#include "api/typed_struct_xds.pb.h"
#include "xds/translate/yaml_json.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;

std::unique_ptr<pb::Message> new_message(std::string_view type) {
  const pb::Descriptor* descriptor =
      pb::DescriptorPool::generated_pool()->FindMessageTypeByName(std::string(type));
  if (descriptor == nullptr) return nullptr;
  const pb::Message* prototype = pb::MessageFactory::generated_factory()->GetPrototype(descriptor);
  return std::unique_ptr<pb::Message>(prototype->New());
}

/// Type and value of a TypedStruct, whose two packages have the same fields.
template <class TypedStruct>
absl::StatusOr<TypedConfig> unpack_struct(const pb::Any& any, const Path& path,
                                          const UnknownSink& sink) {
  TypedStruct typed;
  if (!typed.ParseFromString(any.value())) return path.error("is not a valid TypedStruct");
  TypedConfig out{std::string(type_name_of(typed.type_url())), nullptr};
  if (out.type.empty()) return path.error("TypedStruct has no type_url");
  out.message = new_message(out.type);
  if (out.message == nullptr) return out;
  if (absl::Status status = to_message(typed.value(), path, out.message.get(), sink);
      !status.ok()) {
    return status;
  }
  return out;
}

bool is_struct_of(const pb::Any& any, const pb::Descriptor* type) {
  return type_name_of(any.type_url()) == type->full_name();
}

}  // namespace

std::string_view type_name_of(std::string_view type_url) {
  const size_t slash = type_url.rfind('/');
  return slash == std::string_view::npos ? type_url : type_url.substr(slash + 1);
}

absl::StatusOr<TypedConfig> unpack(const pb::Any& any, const Path& path, const UnknownSink& sink) {
  if (is_struct_of(any, ::xds::type::v3::TypedStruct::descriptor())) {
    return unpack_struct<::xds::type::v3::TypedStruct>(any, path, sink);
  }
  if (is_struct_of(any, udpa::type::v1::TypedStruct::descriptor())) {
    return unpack_struct<udpa::type::v1::TypedStruct>(any, path, sink);
  }
  TypedConfig out{std::string(type_name_of(any.type_url())), nullptr};
  if (out.type.empty()) return path.error("has no type URL");
  out.message = new_message(out.type);
  if (out.message != nullptr && !out.message->ParseFromString(any.value())) {
    return path.error(absl::StrCat("is not a valid ", out.type));
  }
  return out;
}

absl::StatusOr<TypedBytes> unwrap(const pb::Any& any, const Path& path) {
  if (!is_struct_of(any, ::xds::type::v3::TypedStruct::descriptor()) &&
      !is_struct_of(any, udpa::type::v1::TypedStruct::descriptor())) {
    TypedBytes plain{std::string(type_name_of(any.type_url())), any.value()};
    if (plain.type.empty()) return path.error("has no type URL");
    return plain;
  }
  auto inner = unpack(any, path, [](const Unknown&) {});
  if (!inner.ok()) return inner.status();
  TypedBytes out{std::move(inner->type), {}};
  if (inner->message != nullptr) inner->message->SerializeToString(&out.bytes);
  return out;
}

}  // namespace remora::xds::translate
