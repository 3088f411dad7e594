#include "xds/translate/context.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "xds/translate/unknown_fields.h"

namespace remora::xds::translate {

bool UnknownFieldPolicy::refuses(bool decisive) const {
  switch (kind) {
    case Kind::StaticRefuse:
    case Kind::DynamicRefuse:
      return true;
    case Kind::StaticAccept:
      return false;
    case Kind::Dynamic:
    case Kind::DynamicIgnore:
      return decisive;
  }
  return true;
}

absl::Status report_unknown(const UnknownFieldPolicy& policy,
                            const std::function<void(std::string)>& on_unknown,
                            std::string_view resource, const Path& where, std::string_view what,
                            bool decisive) {
  if (policy.refuses(decisive)) return where.error(what);
  if (policy.kind != UnknownFieldPolicy::Kind::DynamicIgnore && on_unknown) {
    std::string text(resource);
    if (!text.empty()) text += ": ";
    on_unknown(text + where.str() + ": " + std::string(what));
  }
  return absl::OkStatus();
}

absl::Status Context::check_source(const ConfigSource& source, const Path& path) const {
  if (source.kind != ConfigSource::Kind::Ads || ads_configured) return absl::OkStatus();
  return path.field("ads").error("needs dynamic_resources.ads_config");
}

absl::Status Context::not_honoured(const Path& where, std::string_view what, bool decisive) {
  return report_unknown(policy, on_unknown, resource, where, what, decisive);
}

absl::Status Context::only_honoured(const google::protobuf::Message& message,
                                    std::initializer_list<std::string_view> honoured,
                                    const Path& path) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (std::ranges::find(honoured, field->name()) != honoured.end()) continue;
    absl::Status status = not_honoured(path.field(field->name()), "is not supported here", false);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Context::check_unknown(const google::protobuf::Message& message, const Path& path) {
  absl::Status first;
  find_unknown(message, path, [&](const Unknown& unknown) {
    const Path where(unknown.path);
    absl::Status status = not_honoured(where, unknown.what, unknown.decisive);
    if (first.ok()) first = std::move(status);
  });
  return first;
}

std::string canonical_text(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  {
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

uint64_t content_hash(const google::protobuf::Message& message) {
  const std::string bytes = canonical_text(message);
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace remora::xds::translate
