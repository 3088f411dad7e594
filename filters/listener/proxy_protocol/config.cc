// Compiles the filter's configuration. Main thread.
#include <absl/strings/str_cat.h>

#include "api/proxy_protocol_filter.pb.h"
#include "filters/listener/proxy_protocol/proxy_protocol.h"
#include "proxy/net/filter_registry.h"
#include "proxy/stats/names.h"
#include "proxy/stats/store.h"
#include "xds/translate/values.h"

namespace remora {

void register_listener_filter_proxy_protocol(ListenerFilterRegistry& registry);

namespace {

using xds::translate::Path;
using Message = envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol;
using PassThrough = envoy::config::core::v3::ProxyProtocolPassThroughTLVs;
using Versions = envoy::config::core::v3::ProxyProtocolConfig;

constexpr uint32_t kTypes = 256;
constexpr std::string_view kNamespace = "envoy.filters.listener.proxy_protocol";

absl::Status read_rules(const Message& message, filters::ProxyProtocolConfig& out,
                        const Path& path) {
  for (int i = 0; i < message.rules_size(); ++i) {
    const Path here = path.at("rules", static_cast<size_t>(i));
    const auto& rule = message.rules(i);
    if (rule.tlv_type() >= kTypes) return here.field("tlv_type").error("is above 255");
    if (!rule.has_on_tlv_present()) continue;
    const auto& present = rule.on_tlv_present();
    const Path at_present = here.field("on_tlv_present");
    if (present.key().empty()) return at_present.field("key").error("is required");
    const bool own = !present.metadata_namespace().empty();
    out.metadata[rule.tlv_type()] = {
        own ? present.metadata_namespace() : std::string(kNamespace), present.key(),
        present.value_string_encoding() == Message::KeyValuePair::BASE64};
  }
  return absl::OkStatus();
}

absl::Status read_pass_through(const PassThrough& from, std::bitset<kTypes>& out,
                               const Path& path) {
  if (from.match_type() == PassThrough::INCLUDE_ALL) out.set();
  for (int i = 0; i < from.tlv_type_size(); ++i) {
    if (from.tlv_type(i) >= kTypes) {
      return path.at("tlv_type", static_cast<size_t>(i)).error("is above 255");
    }
    out.set(from.tlv_type(i));
  }
  return absl::OkStatus();
}

absl::Status read_versions(const Message& message, filters::ProxyProtocolConfig& out,
                           const Path& path) {
  for (const int version : message.disallowed_versions()) {
    (version == Versions::V1 ? out.rules.v1_allowed : out.rules.v2_allowed) = false;
  }
  if (out.rules.v1_allowed || out.rules.v2_allowed) return absl::OkStatus();
  return path.field("disallowed_versions")
      .error("Proxy Protocol filter is misconfigured: all proxy protocol versions are disallowed.");
}

void add_stats(const std::string& stat_prefix, stats::Store& store,
               filters::ProxyProtocolConfig& out) {
  std::string prefix = "proxy_proto";
  if (!stat_prefix.empty()) absl::StrAppend(&prefix, ".", stats::sanitize(stat_prefix));
  out.stats = store.group<filters::ProxyProtocolSchema>(prefix);
  out.v1_stats = store.group<filters::ProxyProtocolVersionSchema>(prefix + ".versions.v1");
  out.v2_stats = store.group<filters::ProxyProtocolVersionSchema>(prefix + ".versions.v2");
  out.error_stats = store.group<filters::ProxyProtocolErrorSchema>("");
}

absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>> make(std::string_view bytes,
                                                                  const FactoryContext& context) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("is not a ProxyProtocol message");
  }
  const Path path;
  filters::ProxyProtocolConfig out;
  out.rules.required = !message.allow_requests_without_proxy_protocol();
  if (message.tlv_location() != Message::DYNAMIC_METADATA) {
    return path.field("tlv_location").error("only DYNAMIC_METADATA is supported");
  }
  REMORA_TRY(read_rules(message, out, path));
  if (message.has_pass_through_tlvs()) {
    REMORA_TRY(read_pass_through(message.pass_through_tlvs(), out.pass_through,
                                 path.field("pass_through_tlvs")));
  }
  REMORA_TRY(read_versions(message, out, path));
  add_stats(message.stat_prefix(), context.stats, out);
  return std::make_shared<filters::ProxyProtocolFactory>(std::move(out));
}

}  // namespace

void register_listener_filter_proxy_protocol(ListenerFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol", &make});
}

}  // namespace remora
