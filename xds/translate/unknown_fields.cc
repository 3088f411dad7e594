#include "xds/translate/unknown_fields.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <array>

#include "xds/translate/typed_config.h"

namespace remora::xds::translate {
namespace {

namespace pb = google::protobuf;

// Everything below these decides admission or destination. A name that ends with '.' is a package.
constexpr auto kDecisiveMessages = std::to_array<std::string_view>({
    "envoy.config.core.v3.CidrRange",
    "envoy.config.listener.v3.FilterChainMatch",
    "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
    "envoy.config.rbac.",
    "envoy.config.cluster.v3.Cluster.LbSubsetConfig",
    "envoy.config.route.v3.CookieMatcher",
    "envoy.config.route.v3.HeaderMatcher",
    "envoy.config.route.v3.QueryParameterMatcher",
    "envoy.config.route.v3.RedirectAction",
    "envoy.config.route.v3.RouteMatch",
    "envoy.extensions.filters.http.ext_authz.",
    "envoy.extensions.filters.http.jwt_authn.",
    "envoy.extensions.filters.http.rbac.",
    "envoy.extensions.filters.network.ext_authz.",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
    "InternalAddressConfig",
    "envoy.extensions.filters.network.rbac.",
    "envoy.extensions.load_balancing_policies.subset.",
    "envoy.extensions.transport_sockets.tls.",
    "envoy.type.matcher.",
    "xds.type.matcher.",
});

// Only the fields of these themselves: the entries of filter lists and what surrounds them.
constexpr auto kDecisiveEntries = std::to_array<std::string_view>({
    "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
    "envoy.config.cluster.v3.Filter",
    "envoy.config.core.v3.TransportSocket",
    "envoy.config.listener.v3.Filter",
    "envoy.config.listener.v3.FilterChain",
    "envoy.config.listener.v3.ListenerFilter",
    "envoy.config.route.v3.FilterConfig",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
});

struct Field {
  std::string_view message;
  std::string_view name;
  std::string_view number;
};

// Single fields that are not in the API and that must not be passed over.
constexpr auto kDecisiveFields = std::to_array<Field>({
    {"envoy.config.listener.v3.Listener", "api_listener", "19"},
    {"envoy.config.listener.v3.Listener", "filter_chain_matcher", "32"},
    {"envoy.config.listener.v3.Listener", "internal_listener", "27"},
    {"envoy.config.listener.v3.Listener", "udp_listener_config", "18"},
    {"envoy.config.route.v3.RouteConfiguration", "vhds", "9"},
    {"envoy.config.route.v3.RouteConfiguration", "route_specifiers", "19"},
    {"envoy.config.route.v3.VirtualHost", "route_specifiers", "26"},
    {"envoy.config.route.v3.Route", "route_specifiers", "21"},
    {"envoy.extensions.filters.http.router.v3.Router", "upstream_http_filters", "8"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager."
     "UpgradeConfig",
     "filters", "2"},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "http_filters", "6"},
});

class Finder {
 public:
  explicit Finder(const UnknownSink& sink) : sink_(sink) {}

  void visit(const pb::Message& message, const Path& path, bool decisive) {
    const pb::Descriptor& type = *message.GetDescriptor();
    if (type.full_name() == pb::Any::descriptor()->full_name()) {
      return visit_any(static_cast<const pb::Any&>(message), path);
    }
    decisive = decisive || decisive_message(type);
    const pb::Reflection& reflection = *message.GetReflection();
    const pb::UnknownFieldSet& unknown = reflection.GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) {
      const std::string number = std::to_string(unknown.field(i).number());
      sink_({path.field(number).str(), "unknown field", decisive || decisive_field(type, number)});
    }
    std::vector<const pb::FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const pb::FieldDescriptor* field : fields) visit_field(message, *field, path, decisive);
  }

 private:
  void visit_any(const pb::Any& any, const Path& path) {
    auto unpacked = unpack(any, path, sink_);
    // What can't be parsed or is of an unknown type is refused where it is compiled.
    if (!unpacked.ok() || unpacked->message == nullptr) return;
    visit(*unpacked->message, path, false);
  }

  void visit_field(const pb::Message& message, const pb::FieldDescriptor& field, const Path& path,
                   bool decisive) {
    if (field.is_map()) return visit_map(message, field, path, decisive);
    const pb::Reflection& reflection = *message.GetReflection();
    const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
    if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      // Known by name only, to be refused where they stand.
      if (field.message_type()->file()->package() == "google.api.expr.v1alpha1") return;
      if (field.message_type()->file()->package() == "google.protobuf" &&
          field.message_type()->full_name() != pb::Any::descriptor()->full_name()) {
        return;
      }
      for (int i = 0; i < count; ++i) {
        if (field.is_repeated()) {
          visit(reflection.GetRepeatedMessage(message, &field, i), path.at(field.name(), i),
                decisive);
        } else {
          visit(reflection.GetMessage(message, &field), path.field(field.name()), decisive);
        }
      }
    } else if (field.cpp_type() == pb::FieldDescriptor::CPPTYPE_ENUM) {
      for (int i = 0; i < count; ++i) {
        const int value = field.is_repeated() ? reflection.GetRepeatedEnumValue(message, &field, i)
                                              : reflection.GetEnumValue(message, &field);
        if (field.enum_type()->FindValueByNumber(value) != nullptr) continue;
        const Path at = field.is_repeated() ? path.at(field.name(), i) : path.field(field.name());
        sink_({at.str(), absl::StrCat("unknown enum value ", value),
               decisive || decisive_field(*message.GetDescriptor(), field.name())});
      }
    }
  }

  void visit_map(const pb::Message& message, const pb::FieldDescriptor& field, const Path& path,
                 bool decisive) {
    const pb::FieldDescriptor& value = *field.message_type()->map_value();
    if (value.cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) return;
    if (value.message_type()->full_name() == "google.protobuf.Struct") return;
    const pb::Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const pb::Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      std::string key;
      if (field.message_type()->map_key()->cpp_type() == pb::FieldDescriptor::CPPTYPE_STRING) {
        key = entry.GetReflection()->GetString(entry, field.message_type()->map_key());
      }
      visit(entry.GetReflection()->GetMessage(entry, &value), path.entry(field.name(), key),
            decisive);
    }
  }

  const UnknownSink& sink_;
};

}  // namespace

bool decisive_message(const pb::Descriptor& type) {
  const std::string& name = type.full_name();
  return std::ranges::any_of(kDecisiveMessages, [&](std::string_view known) {
    if (!name.starts_with(known)) return false;
    // A message also stands for those nested in it.
    return known.back() == '.' || name.size() == known.size() || name[known.size()] == '.';
  });
}

bool decisive_field(const pb::Descriptor& type, std::string_view field) {
  const std::string& name = type.full_name();
  return decisive_message(type) ||
         std::ranges::find(kDecisiveEntries, name) != kDecisiveEntries.end() ||
         std::ranges::any_of(kDecisiveFields, [&](const Field& known) {
           return known.message == name && (known.name == field || known.number == field);
         });
}

void find_unknown(const pb::Message& message, const Path& path, const UnknownSink& sink) {
  Finder(sink).visit(message, path, false);
}

}  // namespace remora::xds::translate
