// Clusters of dynamic forward proxies and the DNS caches that they name.
#include <gmock/gmock.h>

#include <map>

#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/dns_cache.h"
#include "xds/translate/cluster_test_support.h"

namespace remora::xds::translate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using upstream::DnsCache;
using upstream::DnsCacheConfig;

class FakeDnsCaches final : public upstream::DnsCacheSource, private upstream::DnsCacheResolver {
 public:
  explicit FakeDnsCaches(stats::Store& store) : store_(store) {}

  absl::StatusOr<std::shared_ptr<DnsCache>> open(const DnsCacheConfig& config) override {
    upstream::DnsCacheResolver& resolver = *this;
    auto& cache = caches_[config.name];
    if (cache == nullptr) {
      cache = std::make_shared<DnsCache>(
          config, 1, resolver, store_.group<upstream::DnsCacheSchema>("dns_cache." + config.name));
    }
    if (cache->config() == config) return cache;
    return absl::InvalidArgumentError("another is called " + config.name);
  }

 private:
  void ask(std::weak_ptr<DnsCache>, std::string, uint32_t) override {}

  stats::Store& store_;
  std::map<std::string, std::shared_ptr<DnsCache>> caches_;
};

class ForwardProxyTest : public ClusterTranslateTest {
 protected:
  ForwardProxyTest() { context.dns_caches = &caches_; }

  /// `fields`: of the cluster besides, `more`: of what the type wants besides.
  static std::string with(std::string_view cache, std::string_view fields = "",
                          std::string_view more = "") {
    return "{name: a, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: t, typed_config: {'@type': "
           "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig, "
           "dns_cache_config: {" +
           std::string(cache) + "}" + std::string(more) + "}}" + std::string(fields) + "}";
  }
  const DnsCacheConfig& cache_of(std::string_view cache) {
    auto config = compile(with(cache));
    EXPECT_NE(config, nullptr);
    return upstream::balancing_of(*config).dns_cache->config();
  }

  FakeDnsCaches caches_{*store};
};

TEST_F(ForwardProxyTest, DefaultsAreEnvoys) {
  const DnsCacheConfig& cache = cache_of("name: c");
  EXPECT_EQ(cache.name, "c");
  EXPECT_EQ(cache.family, upstream::DnsFamily::Auto);
  EXPECT_EQ(cache.refresh_ms, 60'000u);
  EXPECT_EQ(cache.min_refresh_ms, 5'000u);
  EXPECT_EQ(cache.failure_base_ms, 60'000u);
  EXPECT_EQ(cache.failure_max_ms, 60'000u);
  EXPECT_EQ(cache.host_ttl_ms, 300'000u);
  EXPECT_EQ(cache.max_hosts, 1024u);
  EXPECT_EQ(cache.max_pending, 1024u);
  EXPECT_EQ(cache.query_timeout_ms, 5'000u);
  EXPECT_THAT(cache.servers, IsEmpty());
  EXPECT_THAT(cache.preresolve, IsEmpty());
}

TEST_F(ForwardProxyTest, EverythingSaid) {
  const DnsCacheConfig& cache = cache_of(R"yaml(
name: c, dns_lookup_family: V4_ONLY, dns_refresh_rate: 7s, dns_min_refresh_rate: 1s, host_ttl: 2s,
max_hosts: 3, dns_cache_circuit_breaker: {max_pending_requests: 4}, dns_query_timeout: 0.5s,
dns_failure_refresh_rate: {base_interval: 2s, max_interval: 9s}, typed_dns_resolver_config: {name: r,
typed_config: {'@type': type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig,
resolvers: [{socket_address: {address: 127.0.0.1, port_value: 53}}]}},
preresolve_hostnames: [{address: app.test, port_value: 80}, {address: '[::1]', port_value: 81}])yaml");
  EXPECT_EQ(cache.family, upstream::DnsFamily::V4Only);
  EXPECT_EQ(cache.refresh_ms, 7'000u);
  EXPECT_EQ(cache.min_refresh_ms, 1'000u);
  EXPECT_EQ(cache.host_ttl_ms, 2'000u);
  EXPECT_EQ(cache.max_hosts, 3u);
  EXPECT_EQ(cache.max_pending, 4u);
  EXPECT_EQ(cache.query_timeout_ms, 500u);
  EXPECT_EQ(cache.failure_base_ms, 2'000u);
  EXPECT_EQ(cache.failure_max_ms, 9'000u);
  ASSERT_EQ(cache.servers.size(), 1u);
  EXPECT_EQ(cache.servers.front().to_string(), "127.0.0.1:53");
  EXPECT_THAT(cache.preresolve, ElementsAre("app.test:80", "[::1]:81"));
}

TEST_F(ForwardProxyTest, ClustersOfOneNameShareTheCache) {
  const auto a = compile(with("name: c"));
  const auto b = compile(with("name: c"));
  EXPECT_EQ(upstream::balancing_of(*a).dns_cache, upstream::balancing_of(*b).dns_cache);
  EXPECT_THAT(refusal(with("name: c, max_hosts: 3")),
              HasSubstr("cluster_type.typed_config.dns_cache_config: another is called c"));
}

TEST_F(ForwardProxyTest, CertificatesMustNameTheHost) {
  EXPECT_TRUE(compile(with("name: c"))->auto_sni);
  EXPECT_TRUE(compile(with("name: c"))->auto_san_validation);
  constexpr std::string_view kOptions =
      ", typed_extension_protocol_options: "
      "{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': "
      "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, "
      "explicit_http_config: {http_protocol_options: {}}}}";
  EXPECT_THAT(refusal(with("name: c", kOptions)), HasSubstr("needs auto_sni"));
  const auto config = compile(with("name: c", kOptions, ", allow_insecure_cluster_options: true"));
  EXPECT_FALSE(config->auto_sni);
}

TEST_F(ForwardProxyTest, RefusedWithThePlace) {
  const std::string at = "cluster_type.typed_config.";
  const std::string in = at + "dns_cache_config.";
  EXPECT_THAT(refusal(with("")), HasSubstr(in + "name: is required"));
  for (const auto& [cache, place] : std::map<std::string, std::string>{
           {"dns_refresh_rate: 0s", "dns_refresh_rate"},
           {"dns_min_refresh_rate: 0.9s", "dns_min_refresh_rate: must be at least 1s"},
           {"host_ttl: 0s", "host_ttl"},
           {"max_hosts: 0", "max_hosts: must be at least 1"},
           {"dns_query_timeout: 0s", "dns_query_timeout"},
           {"dns_failure_refresh_rate: {}", "dns_failure_refresh_rate.base_interval: is required"},
           {"dns_failure_refresh_rate: {base_interval: 9s, max_interval: 2s}",
            "dns_failure_refresh_rate: base_interval"},
           {"preresolve_hostnames: [{address: 'a b', port_value: 80}]",
            "preresolve_hostnames[0].address: is not the name of a host"},
           {"preresolve_hostnames: [{address: a, port_value: 65536}]",
            "preresolve_hostnames[0].port_value: is above 65535"},
           {"max_hosts: 1, preresolve_hostnames: [{address: a, port_value: 1}, {address: b, "
            "port_value: 1}]",
            "preresolve_hostnames: are more than max_hosts"}}) {
    EXPECT_THAT(refusal(with("name: r, " + cache)), HasSubstr(in + place));
  }
  EXPECT_THAT(refusal(with("name: c",
                           ", health_checks: [{timeout: 1s, interval: 1s, "
                           "unhealthy_threshold: 1, healthy_threshold: 1, "
                           "tcp_health_check: {}}]")),
              HasSubstr("health_checks: is not supported"));
  EXPECT_THAT(
      refusal("{name: a, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: t, typed_config: "
              "{'@type': type.googleapis.com/"
              "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig}}}"),
      HasSubstr(at + "dns_cache_config: is required"));
  EXPECT_THAT(
      refusal("{name: a, lb_policy: CLUSTER_PROVIDED, cluster_type: {name: t, typed_config: "
              "{'@type': type.googleapis.com/"
              "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig, "
              "sub_clusters_config: {}}}}"),
      HasSubstr(at + "sub_clusters_config: is not supported"));
  context.dns_caches = nullptr;
  EXPECT_THAT(refusal(with("name: c")), HasSubstr("is not supported here"));
}

}  // namespace
}  // namespace remora::xds::translate
