#include "xds/translate/transport_socket.h"

#include <absl/strings/str_cat.h>

#include "api/raw_buffer.pb.h"
#include "api/tls.pb.h"
#include "xds/translate/proxy_protocol.h"
#include "xds/translate/tls_context.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {
namespace {

namespace tlsv3 = envoy::extensions::transport_sockets::tls::v3;
using RawBuffer = envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
using Result = absl::StatusOr<std::shared_ptr<const TransportFactory>>;
using Side = TransportUser::Side;

template <class TlsContext, class Compile>
Result tls_transport(const TypedBytes& config, const TransportUser& user, Compile compile,
                     Context& context, const Path& path) {
  TlsContext from;
  if (!from.ParseFromString(config.bytes)) return path.error("is not a valid message");
  if (context.tls == nullptr) return path.error("TLS is not available here");
  auto plan = compile(from, user.stat_prefix, context, path);
  if (!plan.ok()) return plan.status();
  plan->scope = user.scope;
  plan->server.session_scope = absl::StrCat(plan->stat_prefix, "/", plan->scope);
  auto factory = context.tls->factory_for(*std::move(plan));
  if (!factory.ok()) return prefixed(path.str(), factory.status());
  return factory;
}

}  // namespace

Result transport_socket(const envoy::config::core::v3::TransportSocket& proto,
                        const TransportUser& user, Context& context, const Path& path) {
  const Path at = path.field("typed_config");
  if (!proto.has_typed_config()) {
    if (proto.name().empty()) return raw_transport_factory();
    return at.error("is required");
  }
  if (proto.name().empty()) return path.field("name").error("is required");
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(proto.typed_config(), at));
  if (config.type == RawBuffer::descriptor()->full_name()) return raw_transport_factory();
  if (user.side == Side::Downstream &&
      config.type == tlsv3::DownstreamTlsContext::descriptor()->full_name()) {
    return tls_transport<tlsv3::DownstreamTlsContext>(config, user, downstream_tls, context, at);
  }
  if (user.side == Side::Upstream &&
      config.type == tlsv3::UpstreamTlsContext::descriptor()->full_name()) {
    return tls_transport<tlsv3::UpstreamTlsContext>(config, user, upstream_tls, context, at);
  }
  if (user.side == Side::Upstream && config.type == kProxyProtocolTransport) {
    const auto inner = [&](const envoy::config::core::v3::TransportSocket& socket,
                           const Path& here) {
      return transport_socket(socket, user, context, here);
    };
    return proxy_protocol_transport(config.bytes, inner, at);
  }
  return at.error(absl::StrCat("unknown type ", config.type));
}

}  // namespace remora::xds::translate
