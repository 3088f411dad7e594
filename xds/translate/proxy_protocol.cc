#include "xds/translate/proxy_protocol.h"

#include <algorithm>

#include "api/proxy_protocol_transport.pb.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

using Message =
    envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
using Config = envoy::config::core::v3::ProxyProtocolConfig;
using PassThrough = envoy::config::core::v3::ProxyProtocolPassThroughTLVs;

constexpr uint32_t kTypes = 256;
constexpr size_t kMaxValueBytes = 0xffff;

absl::Status read_pass_through(const PassThrough& from, ProxyProtocolSettings& out,
                               const Path& path) {
  if (from.match_type() == PassThrough::INCLUDE_ALL) out.pass_through.set();
  for (int i = 0; i < from.tlv_type_size(); ++i) {
    if (from.tlv_type(i) >= kTypes) {
      return path.at("tlv_type", static_cast<size_t>(i)).error("is above 255");
    }
    out.pass_through.set(from.tlv_type(i));
  }
  return absl::OkStatus();
}

absl::Status read_added(const Config& from, ProxyProtocolSettings& out, const Path& path) {
  for (int i = 0; i < from.added_tlvs_size(); ++i) {
    const Path here = path.at("added_tlvs", static_cast<size_t>(i));
    const auto& entry = from.added_tlvs(i);
    if (entry.type() >= kTypes) return here.field("type").error("is above 255");
    if (entry.has_format_string()) return here.field("format_string").error("is not supported");
    if (entry.value().empty()) return here.field("value").error("is required");
    if (entry.value().size() > kMaxValueBytes) return here.field("value").error("is too long");
    out.added.push_back({static_cast<uint8_t>(entry.type()), entry.value()});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ProxyProtocolSettings> proxy_protocol_settings(const Config& config,
                                                              const Path& path) {
  ProxyProtocolSettings out;
  out.version = config.version() == Config::V2 ? ProxyProtocolSettings::Version::V2
                                               : ProxyProtocolSettings::Version::V1;
  if (config.has_pass_through_tlvs()) {
    REMORA_TRY(read_pass_through(config.pass_through_tlvs(), out, path.field("pass_through_tlvs")));
  }
  REMORA_TRY(read_added(config, out, path));
  return out;
}

absl::StatusOr<std::shared_ptr<const TransportFactory>> proxy_protocol_transport(
    std::string_view bytes, CompileTransport inner, const Path& path) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a ProxyProtocolUpstreamTransport message");
  }
  if (message.allow_unspecified_address()) {
    return path.field("allow_unspecified_address").error("is not supported");
  }
  if (message.tlv_as_pool_key()) return path.field("tlv_as_pool_key").error("is not supported");
  if (!message.has_transport_socket()) return path.field("transport_socket").error("is required");
  auto settings = proxy_protocol_settings(message.config(), path.field("config"));
  if (!settings.ok()) return settings.status();
  auto inside = inner(message.transport_socket(), path.field("transport_socket"));
  if (!inside.ok()) return inside.status();
  return proxy_protocol_transport_factory(*std::move(settings), *std::move(inside));
}

}  // namespace remora::xds::translate
