// The network and listener filters that this binary knows, by the full name of their configuration
// message. Filled once by main() through the generated register_*_filters() functions, then only
// read. Main thread. CONTRACT (additive).
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/net/filter.h"

namespace remora {

namespace stats {
class Store;
}
namespace xds::translate {
struct Context;  // xds/translate/context.h: nested translation, unknown-field policy, registries,
                 // node
}

/// What a filter's config.cc may use while it compiles a configuration.
struct FactoryContext {
  stats::Store& stats;
  xds::translate::Context& translation;
  std::string_view path;  // field path of the typed_config, for errors:
                          // "filter_chains[0].filters[1].typed_config"
  /// Where the metrics of the thing around the filter are: "http.ingress" of the connection manager
  /// for HTTP filters, "listener.10.0.0.1_80" for network and listener filters. May be empty.
  std::string_view stats_prefix = {};
  /// What the list of HTTP filters calls this one, and so do routes that override it.
  std::string_view filter_name = {};
};

/// Filters of one kind by the full name of their message
/// ("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"). `Factory` is what a configuration
/// compiles to.
template <class Factory>
struct Registration {
  /// `bytes`: the serialized message (already unwrapped from Any or TypedStruct). Errors start with
  /// a field path relative to the message; the caller puts context.path before it.
  using Make = absl::StatusOr<std::shared_ptr<const Factory>> (*)(std::string_view bytes,
                                                                  const FactoryContext& context);

  std::string_view type;  // static memory
  Make make = nullptr;
};

template <class Entry>
class Registry {
 public:
  /// A second registration of a type replaces the first.
  void add(const Entry& entry) { entries_.insert_or_assign(std::string(entry.type), entry); }
  /// `type`: the part of the type URL behind the last '/'. Null: unknown.
  const Entry* find(std::string_view type) const {
    auto at = entries_.find(type);
    return at == entries_.end() ? nullptr : &at->second;
  }
  std::vector<std::string_view> types() const {
    std::vector<std::string_view> out;
    for (const auto& [type, entry] : entries_) out.push_back(type);
    return out;
  }

 private:
  StringMap<Entry> entries_;
};

using NetworkFilterRegistration = Registration<NetworkFilterFactory>;
using ListenerFilterRegistration = Registration<ListenerFilterFactory>;
using NetworkFilterRegistry = Registry<NetworkFilterRegistration>;
using ListenerFilterRegistry = Registry<ListenerFilterRegistration>;

}  // namespace remora
