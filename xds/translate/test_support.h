// What the tests of translation share: messages from YAML, a context that remembers what was
// reported, and stand-ins for filters.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stats/store.h"
#include "xds/translate/context.h"
#include "xds/translate/runtime.h"
#include "xds/translate/yaml_json.h"

namespace remora::xds::translate {

/// A message from YAML; what the API does not have fails the test.
template <class T>
T from_yaml(std::string_view text) {
  T out;
  const absl::Status status = text_to_message(text, Syntax::Yaml, &out, [](const Unknown& unknown) {
    ADD_FAILURE() << "test has " << unknown.path << ": " << unknown.what;
  });
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

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
inline constexpr std::string_view kOriginalDst =
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
inline constexpr std::string_view kPassing =
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

class TranslateTest : public testing::Test {
 protected:
  TranslateTest() {
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
    registries.listener.add({kOriginalDst, [](std::string_view, const FactoryContext&) {
                               return absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>>(
                                   std::make_shared<FakeListenerFilter>());
                             }});
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
                  .runtime = &runtime};
};

/// One message that must be refused, and what the refusal says.
struct Refusal {
  std::string_view yaml;
  std::string_view reason;
};

}  // namespace remora::xds::translate
