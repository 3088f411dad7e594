#include "proxy/server/admin/redact.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "xds/translate/typed_config.h"

namespace remora::server {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

constexpr std::string_view kRedacted = "[redacted]";

// As the public API marks them.
constexpr auto kSensitive = std::to_array<std::string_view>({
    "envoy.extensions.transport_sockets.tls.v3.GenericSecret.secret",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.password",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.pkcs12",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.private_key",
    "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys.keys",
});

bool visit(pb::Message* message, bool sensitive);

/// Whatever Any holds is packed again only when something was taken out of it.
bool visit_any(pb::Any* any) {
  auto inner =
      xds::translate::unpack(*any, xds::translate::Path(), [](const xds::translate::Unknown&) {});
  if (!inner.ok() || inner->message == nullptr || !visit(inner->message.get(), false)) return false;
  any->PackFrom(*inner->message);
  return true;
}

bool blank(pb::Message* message, const FieldDescriptor& field) {
  const pb::Reflection& reflection = *message->GetReflection();
  if (!field.is_repeated()) {
    reflection.SetString(message, &field, std::string(kRedacted));
    return true;
  }
  for (int i = 0; i < reflection.FieldSize(*message, &field); ++i) {
    reflection.SetRepeatedString(message, &field, i, std::string(kRedacted));
  }
  return true;
}

/// Answers whether something was taken out.
bool visit(pb::Message* message, bool sensitive) {
  if (message->GetDescriptor()->full_name() == pb::Any::descriptor()->full_name()) {
    return visit_any(static_cast<pb::Any*>(message));
  }
  const pb::Reflection& reflection = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  bool changed = false;
  for (const FieldDescriptor* field : fields) {
    const bool hidden =
        sensitive || std::ranges::find(kSensitive, field->full_name()) != kSensitive.end();
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const int count = field->is_repeated() ? reflection.FieldSize(*message, field) : 1;
      for (int i = 0; i < count; ++i) {
        pb::Message* inner = field->is_repeated()
                                 ? reflection.MutableRepeatedMessage(message, field, i)
                                 : reflection.MutableMessage(message, field);
        changed |= visit(inner, hidden);
      }
    } else if (hidden && field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      changed |= blank(message, *field);
    }
  }
  return changed;
}

}  // namespace

void redact(pb::Message* message) { visit(message, false); }

}  // namespace remora::server
