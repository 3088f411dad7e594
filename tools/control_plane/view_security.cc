// Mutual TLS and authorization. Keys stay on the node: a sidecar reads its secrets from files.
#include "api/raw_buffer.pb.h"
#include "api/rbac.pb.h"
#include "api/rbac_http.pb.h"
#include "api/rbac_network.pb.h"
#include "api/tls.pb.h"
#include "tools/control_plane/view_parts.h"

namespace remora::control_plane {
namespace {

using envoy::config::core::v3::TransportSocket;
using envoy::config::rbac::v3::Permission;
using envoy::config::rbac::v3::Policy;
using envoy::config::rbac::v3::Principal;
using envoy::config::rbac::v3::RBAC;
using envoy::extensions::transport_sockets::tls::v3::CommonTlsContext;
using envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext;
using envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;
using envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
using envoy::extensions::transport_sockets::tls::v3::TlsParameters;
using envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;

constexpr const char* kTlsTransport = "envoy.transport_sockets.tls";
constexpr const char* kRawTransport = "envoy.transport_sockets.raw_buffer";

// The secret `name` from the file NAME.json of the node's identity folder, which is replaced whole.
void from_identity_folder(SdsSecretConfig& config, const std::string& name,
                          const NodeIdentity& node) {
  config.set_name(name);
  auto* source = config.mutable_sds_config();
  source->mutable_initial_fetch_timeout();  // zero: no limit
  source->set_resource_api_version(envoy::config::core::v3::V3);
  auto* file = source->mutable_path_config_source();
  file->set_path(node.identity_folder + "/" + name + ".json");
  file->mutable_watched_directory()->set_path(node.identity_folder);
}

// Both sides of every connection within the mesh. Returns what the peer's identity has to match.
envoy::type::matcher::v3::StringMatcher* set_common(CommonTlsContext& common,
                                                    const NodeIdentity& node) {
  common.mutable_tls_params()->set_tls_minimum_protocol_version(TlsParameters::TLSv1_3);
  common.mutable_tls_params()->set_tls_maximum_protocol_version(TlsParameters::TLSv1_3);
  common.add_alpn_protocols(kMeshProtocol);
  from_identity_folder(*common.add_tls_certificate_sds_secret_configs(), "workload", node);
  auto* validation = common.mutable_combined_validation_context();
  from_identity_folder(*validation->mutable_validation_context_sds_secret_config(), "trust", node);
  auto* name =
      validation->mutable_default_validation_context()->add_match_typed_subject_alt_names();
  name->set_san_type(SubjectAltNameMatcher::URI);
  return name->mutable_matcher();
}

TransportSocket transport(const char* name, const google::protobuf::Message& config) {
  TransportSocket socket;
  socket.set_name(name);
  *socket.mutable_typed_config() = pack(config);
  return socket;
}

void add_permissions(Policy& policy, const AccessRule& rule) {
  if (rule.methods.empty() && rule.paths.empty()) {
    policy.add_permissions()->set_any(true);
    return;
  }
  auto* both = policy.add_permissions()->mutable_and_rules();
  auto* methods = rule.methods.empty() ? nullptr : both->add_rules()->mutable_or_rules();
  for (const std::string& method : rule.methods) {
    auto* header = methods->add_rules()->mutable_header();
    header->set_name(":method");
    header->mutable_string_match()->set_exact(method);
  }
  auto* paths = rule.paths.empty() ? nullptr : both->add_rules()->mutable_or_rules();
  for (const std::string& path : rule.paths) {
    auto* matcher = paths->add_rules()->mutable_url_path()->mutable_path();
    if (path.ends_with('*')) {
      matcher->set_prefix(path.substr(0, path.size() - 1));
    } else {
      matcher->set_exact(path);
    }
  }
}

void add_principals(Policy& policy, const AccessRule& rule) {
  if (rule.principals.empty()) policy.add_principals()->set_any(true);
  for (const std::string& id : rule.principals) {
    policy.add_principals()->mutable_authenticated()->mutable_principal_name()->set_exact(id);
  }
}

// An allow list: what no policy matches is refused, everything when there are none.
RBAC allow_list(const Authorization& authorization) {
  RBAC rules;
  rules.set_action(RBAC::ALLOW);
  for (size_t i = 0; i < authorization.size(); ++i) {
    Policy& policy = (*rules.mutable_policies())["rule[" + std::to_string(i) + "]"];
    add_permissions(policy, authorization[i]);
    add_principals(policy, authorization[i]);
  }
  return rules;
}

}  // namespace

TransportSocket tls_server(const NodeIdentity& node) {
  DownstreamTlsContext context;
  set_common(*context.mutable_common_tls_context(), node)->set_prefix(std::string(kTrustDomain));
  context.mutable_require_client_certificate()->set_value(true);
  return transport(kTlsTransport, context);
}

TransportSocket tls_client(const Service& service, const Port& port, const NodeIdentity& node) {
  UpstreamTlsContext context;
  set_common(*context.mutable_common_tls_context(), node)
      ->set_exact(spiffe_id(service.service_namespace, service.account));
  context.set_sni("outbound_." + std::to_string(port.port) + "_._." + service.fqdn());
  return transport(kTlsTransport, context);
}

TransportSocket plain_text() {
  return transport(kRawTransport,
                   envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer());
}

envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter http_authorization(
    const Authorization& authorization) {
  envoy::extensions::filters::http::rbac::v3::RBAC config;
  *config.mutable_rules() = allow_list(authorization);
  envoy::extensions::filters::network::http_connection_manager::v3::HttpFilter filter;
  filter.set_name("envoy.filters.http.rbac");
  *filter.mutable_typed_config() = pack(config);
  return filter;
}

envoy::config::listener::v3::Filter network_authorization(const Authorization& authorization) {
  envoy::extensions::filters::network::rbac::v3::RBAC config;
  config.set_stat_prefix("tcp.");
  *config.mutable_rules() = allow_list(authorization);
  envoy::config::listener::v3::Filter filter;
  filter.set_name("envoy.filters.network.rbac");
  *filter.mutable_typed_config() = pack(config);
  return filter;
}

}  // namespace remora::control_plane
