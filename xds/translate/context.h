// What translation needs besides the resource: where values that it compiles register, what to do
// about what it does not know, and who this process is. Owned by the Server; main thread only.
#pragma once

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

#include "proxy/http/filter_registry.h"
#include "proxy/net/config_source.h"
#include "xds/translate/path.h"

namespace remora::stats {
class Store;
}

namespace remora::telemetry {
class AccessLogSinks;
}

namespace remora::upstream {
class DnsCacheSource;
class RemoteKeysSource;
}  // namespace remora::upstream

namespace remora::xds::translate {

class Runtime;
class TlsRegistry;

/// Who this process is, as the bootstrap and the command line say.
struct NodeIdentity {
  std::string id;
  std::string cluster;
  std::string region, zone, sub_zone;
  std::string local_address;  // of this machine, as x-forwarded-for names it; empty: unknown
};

/// What to do about a field, enum value or type that the API subset does not have.
struct UnknownFieldPolicy {
  enum class Kind : unsigned char {
    StaticRefuse,  // a bootstrap
    StaticAccept,  // a bootstrap with --allow-unknown-static-fields
    Dynamic,  // xDS: refused where it decides admission or destination, else accepted and reported
    DynamicRefuse,  // --reject-unknown-dynamic-fields
    DynamicIgnore,  // --ignore-unknown-dynamic-fields: as Dynamic, and not reported
  };
  Kind kind = Kind::Dynamic;

  bool refuses(bool decisive) const;
  bool is_static() const { return kind == Kind::StaticRefuse || kind == Kind::StaticAccept; }
};

/// Refuses or reports one thing that is not honoured, as the policy wants. `resource` may be empty.
absl::Status report_unknown(const UnknownFieldPolicy& policy,
                            const std::function<void(std::string)>& on_unknown,
                            std::string_view resource, const Path& where, std::string_view what,
                            bool decisive);

struct Context {
  stats::Store& stats;
  const FilterRegistries& registries;
  UnknownFieldPolicy policy;
  /// Something unknown was accepted: "listener 'ingress': filter_chains[0].metadata.3: unknown
  /// field".
  std::function<void(std::string)> on_unknown;
  const NodeIdentity& node;
  const Runtime* runtime = nullptr;                  // null: no layer has any key
  telemetry::AccessLogSinks* access_logs = nullptr;  // null: access logs are refused
  std::string resource = {};  // set by the entry points: "listener 'ingress'"
  /// While a listener is compiled: what its metrics are named after (stat_prefix, or else address).
  std::string listener_stat_name = {};
  /// Whether a cluster is there now, for routes that are to be validated; none: not asked.
  std::function<bool(const std::string&)> has_cluster = {};
  bool ads_configured = true;  // otherwise resources that come from ADS never come: refused

  TlsRegistry* tls = nullptr;                         // tls_context.h; null: TLS is refused
  upstream::DnsCacheSource* dns_caches = nullptr;     // null: dynamic forward proxies are refused
  upstream::RemoteKeysSource* remote_keys = nullptr;  // null: keys that are fetched are refused

  /// Refuses a source that the process does not have.
  absl::Status check_source(const ConfigSource& source, const Path& path) const;
  absl::Status not_honoured(const Path& where, std::string_view what, bool decisive);
  /// The same for every field of `message` that is set and not in `honoured`.
  absl::Status only_honoured(const google::protobuf::Message& message,
                             std::initializer_list<std::string_view> honoured, const Path& path);
  /// Goes through a whole resource for unknown fields and enum values.
  absl::Status check_unknown(const google::protobuf::Message& message, const Path& path);
};

/// A message's bytes, the same for the same content.
std::string canonical_text(const google::protobuf::Message& message);

/// Hash of a message's canonical bytes, so that an update that changes nothing is seen as such.
uint64_t content_hash(const google::protobuf::Message& message);

}  // namespace remora::xds::translate
