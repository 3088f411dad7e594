// A context for tests and fuzzing: stand-ins for filters, and a memory of what was reported.
#pragma once

#include <google/protobuf/generated_message_reflection.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/original_dst.pb.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "proxy/tls/transport_factory.h"
#include "xds/translate/connection_manager.h"
#include "xds/translate/context.h"
#include "xds/translate/runtime.h"
#include "xds/translate/tls_context.h"

namespace remora::xds::translate {

class FakeNetworkFilter final : public NetworkFilterFactory {
 public:
  explicit FakeNetworkFilter(bool terminal) : terminal_(terminal) {}
  std::unique_ptr<NetworkFilter> make(NetworkFilterContext&) const override { return nullptr; }
  bool terminal() const override { return terminal_; }

 private:
  const bool terminal_;
};

class FakeListenerFilter final : public ListenerFilterFactory {
 public:
  std::unique_ptr<ListenerFilter> make() const override { return nullptr; }
};

class FakeHttpFilter final : public http::FilterFactory {
 public:
  explicit FakeHttpFilter(bool terminal) : terminal_(terminal) {}
  http::Filter* make(http::FilterStream&) const override { return nullptr; }
  http::FilterEvents events() const override { return {}; }
  bool terminal() const override { return terminal_; }

 private:
  const bool terminal_;
};

/// Type names that the stand-ins answer to. All are types that the API has.
inline constexpr std::string_view kRouter = "envoy.extensions.filters.http.router.v3.Router";
inline constexpr std::string_view kTcpProxy =
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
inline constexpr std::string_view kConnectionManager =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
inline constexpr std::string_view kOriginalDst =
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
inline constexpr std::string_view kPassing =
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// Makes contexts of what is inline, and factories without one for what is to come.
class FakeTls final : public TlsRegistry {
 public:
  FakeTls(stats::Store& store, const Context& context) : store_(store), context_(context) {}
  const Secret* static_secret(SecretKind kind, std::string_view name) const override {
    for (const Secret& secret : secrets) {
      if (secret.kind == kind && secret.name == name) return &secret;
    }
    return nullptr;
  }
  absl::StatusOr<std::shared_ptr<const TransportFactory>> factory_for(TlsPlan plan) override {
    auto made = make_context(
        plan, [](const SecretRef&) { return nullptr; }, context_);
    if (!made.ok()) return made.status();
    auto slots = std::make_shared<tls::ContextSlots>(1);
    slots->set(0, *made);
    auto counters = store_.group<stats::TlsSchema>(plan.stat_prefix + ".ssl");
    std::vector<ResourceRef> refs;
    for (const SecretRef& ref : plan.refs()) refs.push_back({ref.name, ref.source});
    last = plan;
    if (plan.side == TlsPlan::Side::Server) {
      return tls::server_factory(plan.server, slots, counters, refs);
    }
    return tls::client_factory(plan.client, slots, counters, refs);
  }

  std::vector<Secret> secrets;
  TlsPlan last;

 private:
  stats::Store& store_;
  const Context& context_;
};

struct FakeContext {
  FakeContext() {
    // No code of this room names it; the types that are not linked are not known.
    google::protobuf::LinkMessageReflection<
        envoy::extensions::filters::listener::original_dst::v3::OriginalDst>();
    registries.http.add({kRouter,
                         [](std::string_view, const FactoryContext&) { return fake_http(true); },
                         {},
                         nullptr});
    registries.http.add(
        {kPassing, [](std::string_view, const FactoryContext&) { return fake_http(false); },
         kPassing,
         [](std::string_view bytes, const FactoryContext&) {
           return absl::StatusOr<std::shared_ptr<const void>>(std::make_shared<std::string>(bytes));
         }});
    registries.network.add(
        {kTcpProxy, [](std::string_view, const FactoryContext&) { return fake_network(true); }});
    registries.network.add(
        {kPassing, [](std::string_view, const FactoryContext&) { return fake_network(false); }});
    registries.network.add({kConnectionManager, &compile_manager});
    registries.listener.add({kOriginalDst, [](std::string_view, const FactoryContext&) {
                               return absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>>(
                                   std::make_shared<FakeListenerFilter>());
                             }});
  }

  // As the real one does, but for what it makes.
  static absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> compile_manager(
      std::string_view bytes, const FactoryContext& factory) {
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager proto;
    if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::InvalidArgumentError("is not an HttpConnectionManager");
    }
    auto config = http_connection_manager(proto, factory.translation, Path(factory.path));
    if (!config.ok()) return config.status();
    return fake_network(true);
  }

  static absl::StatusOr<std::shared_ptr<const http::FilterFactory>> fake_http(bool terminal) {
    return std::make_shared<FakeHttpFilter>(terminal);
  }
  static absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> fake_network(bool terminal) {
    return std::make_shared<FakeNetworkFilter>(terminal);
  }

  void set_policy(UnknownFieldPolicy::Kind kind) { context.policy.kind = kind; }

  FilterRegistries registries;
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  NodeIdentity node{"node", "cluster", "region", "zone", "", ""};
  std::vector<std::string> reported;
  Runtime runtime;
  Context context{.stats = *store,
                  .registries = registries,
                  .policy = {UnknownFieldPolicy::Kind::Dynamic},
                  .on_unknown = [this](std::string text) { reported.push_back(std::move(text)); },
                  .node = node,
                  .runtime = &runtime,
                  .tls = &tls};
  FakeTls tls{*store, context};
};

}  // namespace remora::xds::translate
