// The TLS of a listener's filter chain or of a cluster: settings, and the secrets that it is made
// of, inline or to come by discovery. Documents:
// envoy.extensions.transport_sockets.tls.v3.{DownstreamTlsContext,UpstreamTlsContext}. Main thread.
#pragma once

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/tls.pb.h"
#include "proxy/net/transport.h"
#include "proxy/tls/context.h"
#include "proxy/tls/settings.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"
#include "xds/translate/secret.h"

namespace remora::xds::translate {

/// What a TLS context is made of. Secrets of static_resources are inside, those of discovery are
/// named.
struct TlsPlan {
  enum class Side : uint8_t { Server, Client } side = Side::Server;
  tls::ServerSettings server;  // of a server
  tls::ClientSettings client;  // of a client
  std::vector<tls::Certificate> certificates;
  std::vector<SecretRef> certificate_refs;  // none when there are `certificates`
  std::optional<ValidationMessage> validation;
  std::string validation_name;              // of a secret of static_resources
  std::optional<SecretRef> validation_ref;  // with `validation`: merged over it
  tls::TicketKeys ticket_keys;
  std::optional<SecretRef> ticket_keys_ref;
  std::string scope;          // what tells it from others with the same prefix
  std::string stat_prefix;    // "listener.ADDRESS", "cluster.NAME"
  uint64_t content_hash = 0;  // equal for what makes the same contexts

  std::vector<SecretRef> refs() const;
};

absl::StatusOr<TlsPlan> downstream_tls(
    const envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext& proto,
    std::string_view stat_prefix, Context& context, const Path& path);
absl::StatusOr<TlsPlan> upstream_tls(
    const envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext& proto,
    std::string_view stat_prefix, Context& context, const Path& path);

using FindSecret = absl::FunctionRef<const Secret*(const SecretRef&)>;
/// A context for new connections, of the secrets that `find` has; null when one of them has not
/// come.
absl::StatusOr<tls::ContextPtr> make_context(const TlsPlan& plan, FindSecret find,
                                             const Context& context);

/// Who keeps TLS contexts up to date as secrets come and change.
class TlsRegistry {
 public:
  /// A secret of static_resources, or null.
  virtual const Secret* static_secret(SecretKind kind, std::string_view name) const = 0;
  /// A factory for the plan. Of two plans that are alike and both in use, the second gets the
  /// factory of the first.
  virtual absl::StatusOr<std::shared_ptr<const TransportFactory>> factory_for(TlsPlan plan) = 0;

 protected:
  ~TlsRegistry() = default;
};

}  // namespace remora::xds::translate
