#include "xds/translate/forwarding.h"

#include <string_view>
#include <vector>

#include "api/request_id_uuid.pb.h"
#include "xds/translate/ip_detection.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace core = envoy::config::core::v3;
using Manager =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using connection_manager::HttpConfig;

void read_client_cert(const Manager& from, HttpConfig* out) {
  using Mode = HttpConfig::ClientCert;
  switch (from.forward_client_cert_details()) {
    case Manager::FORWARD_ONLY:
      out->client_cert = Mode::ForwardOnly;
      break;
    case Manager::APPEND_FORWARD:
      out->client_cert = Mode::AppendForward;
      break;
    case Manager::SANITIZE_SET:
      out->client_cert = Mode::SanitizeSet;
      break;
    case Manager::ALWAYS_FORWARD_ONLY:
      out->client_cert = Mode::AlwaysForwardOnly;
      break;
    default:
      out->client_cert = Mode::Sanitize;
  }
  const Manager::SetCurrentClientCertDetails& details = from.set_current_client_cert_details();
  out->client_cert_details = {.subject = details.subject().value(),
                              .cert = details.cert(),
                              .chain = details.chain(),
                              .dns = details.dns(),
                              .uri = details.uri()};
}

absl::Status check_client_cert(const Manager& from, Context& context, const Path& path) {
  const Path details = path.field("set_current_client_cert_details");
  if (from.set_current_client_cert_details().format() != Manager::TEXT) {
    REMORA_TRY(context.not_honoured(details.field("format"), "only TEXT is supported", true));
  }
  if (from.set_current_client_cert_details().issuer()) {
    REMORA_TRY(context.not_honoured(details.field("issuer"), "is not supported", false));
  }
  if (!from.has_forward_client_cert_matcher()) return absl::OkStatus();
  return context.not_honoured(path.field("forward_client_cert_matcher"), "is not supported", true);
}

absl::StatusOr<std::vector<uint16_t>> ports(const google::protobuf::RepeatedField<uint32_t>& from,
                                            std::string_view name, const Path& path) {
  std::vector<uint16_t> out;
  for (int i = 0; i < from.size(); ++i) {
    if (from[i] > 65535) return path.at(name, static_cast<size_t>(i)).error("is above 65535");
    out.push_back(static_cast<uint16_t>(from[i]));
  }
  return out;
}

absl::Status read_scheme(const Manager& from, HttpConfig* out, const Path& path) {
  const Path scheme = path.field("scheme_header_transformation");
  out->scheme_matches_upstream = from.scheme_header_transformation().match_upstream();
  if (from.scheme_header_transformation().transformation_case() ==
      core::SchemeHeaderTransformation::kSchemeToOverwrite) {
    out->scheme_to_overwrite = from.scheme_header_transformation().scheme_to_overwrite();
    if (out->scheme_to_overwrite != "http" && out->scheme_to_overwrite != "https") {
      return scheme.field("scheme_to_overwrite").error("must be http or https");
    }
  }
  const Path by_port = path.field("forward_proto_config");
  REMORA_TRY_ASSIGN(out->https_ports, ports(from.forward_proto_config().https_destination_ports(),
                                            "https_destination_ports", by_port));
  REMORA_TRY_ASSIGN(out->http_ports, ports(from.forward_proto_config().http_destination_ports(),
                                           "http_destination_ports", by_port));
  return absl::OkStatus();
}

// Who detects by himself asks neither the connection nor a number of hops.
absl::Status read_ip_detection(const Manager& from, HttpConfig* out, const Path& path) {
  REMORA_TRY_ASSIGN(out->ip_detections,
                    ip_detections(from.original_ip_detection_extensions(), path));
  if (out->ip_detections.empty()) return absl::OkStatus();
  const Path here = path.field("original_ip_detection_extensions");
  if (out->use_remote_address) return here.error("and use_remote_address exclude each other");
  if (out->xff_num_trusted_hops > 0)
    return here.error("and xff_num_trusted_hops exclude each other");
  return absl::OkStatus();
}

// Without a provider, which the API does not have, no trace is made; what is decided here is told
// in x-request-id.
absl::Status read_tracing(const Manager& from, HttpConfig* out, const Path& path) {
  if (!from.has_tracing()) return absl::OkStatus();
  using Percent = envoy::type::v3::Percent;
  struct Share {
    std::string_view name;
    bool present;
    const Percent& percent;
    uint32_t* out;
  };
  out->tracing.emplace();
  const Manager::Tracing& tracing = from.tracing();
  const Share shares[] = {
      {"client_sampling", tracing.has_client_sampling(), tracing.client_sampling(),
       &out->tracing->client},
      {"random_sampling", tracing.has_random_sampling(), tracing.random_sampling(),
       &out->tracing->random},
      {"overall_sampling", tracing.has_overall_sampling(), tracing.overall_sampling(),
       &out->tracing->overall},
  };
  for (const Share& share : shares) {
    if (!share.present) continue;
    REMORA_TRY(check_percent(share.percent, path.field(share.name)));
    *share.out = static_cast<uint32_t>(share.percent.value() / 100 * HttpConfig::TraceShares::kOf);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status set_forwarding(const Manager& from, Context& context, HttpConfig* out,
                            const Path& path) {
  out->use_remote_address = from.use_remote_address().value();
  out->xff_num_trusted_hops = from.xff_num_trusted_hops();
  out->skip_xff_append = from.skip_xff_append();
  if (!context.node.local_address.empty()) out->local_address = context.node.local_address;
  REMORA_TRY(check_header_value(from.via(), path.field("via")));
  out->via = from.via();
  const Path internal = path.field("internal_address_config");
  REMORA_TRY_ASSIGN(out->internal_ranges, cidr_ranges(from.internal_address_config().cidr_ranges(),
                                                      "cidr_ranges", internal));
  out->internal_unix_sockets = from.internal_address_config().unix_sockets();
  read_client_cert(from, out);
  REMORA_TRY(check_client_cert(from, context, path));
  out->append_x_forwarded_port = from.append_x_forwarded_port();
  if (from.add_user_agent().value()) {
    out->user_agent = context.node.cluster;
    out->own_node_id = context.node.id;
  }
  REMORA_TRY(read_scheme(from, out, path));
  return read_ip_detection(from, out, path);
}

absl::Status set_request_id(const Manager& from, HttpConfig* out, const Path& path) {
  REMORA_TRY(read_tracing(from, out, path.field("tracing")));
  using Uuid = envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
  if (from.has_generate_request_id()) out->generate_request_id = from.generate_request_id().value();
  out->preserve_external_request_id = from.preserve_external_request_id();
  out->always_set_request_id_in_response = from.always_set_request_id_in_response();
  if (!from.request_id_extension().has_typed_config()) return absl::OkStatus();
  const Path here = path.field("request_id_extension");
  auto uuid =
      unpack_as<Uuid>(from.request_id_extension().typed_config(), here.field("typed_config"));
  if (!uuid.ok()) return uuid.status();
  if (uuid->has_pack_trace_reason()) out->packs_trace_reason = uuid->pack_trace_reason().value();
  if (uuid->has_use_request_id_for_trace_sampling()) {
    out->samples_by_request_id = uuid->use_request_id_for_trace_sampling().value();
  }
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
