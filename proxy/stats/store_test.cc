#include "proxy/stats/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "proxy/stats/names.h"
#include "proxy/stats/schemas.h"

namespace remora::stats {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::Not;
using ::testing::SizeIs;

std::unique_ptr<Store> make(StatsConfig config = {}) {
  auto store = Store::make(std::move(config), 1);
  EXPECT_TRUE(store.ok()) << store.status().ToString();
  return *std::move(store);
}

std::map<std::string, uint64_t> scrape(Store& store) {
  std::map<std::string, uint64_t> out;
  store.scrape([&](const Metric& metric) {
    bool added = out.emplace(metric.name, metric.value).second;
    EXPECT_TRUE(added) << metric.name << " is shown twice";
  });
  return out;
}

StringPattern prefix(std::string_view text) {
  return *StringPattern::make(StringPattern::Kind::Prefix, text);
}
StringPattern suffix(std::string_view text) {
  return *StringPattern::make(StringPattern::Kind::Suffix, text);
}

TEST(Store, ALivingGroupOfTheSameNameIsReused) {
  auto store = make();
  auto first = store->group<ClusterSchema>("cluster.a");
  first->at(0).inc(ClusterStat::upstream_rq_total);
  auto second = store->group<ClusterSchema>("cluster.a");
  EXPECT_EQ(first, second);
  first.reset();
  EXPECT_EQ(scrape(*store)["cluster.a.upstream_rq_total"], 1u);
}

TEST(Store, AGroupThatNobodyHoldsIsGone) {
  auto store = make();
  store->group<ClusterSchema>("cluster.a")->at(0).inc(ClusterStat::upstream_rq_total);
  EXPECT_THAT(scrape(*store), IsEmpty());
  auto again = store->group<ClusterSchema>("cluster.a");
  EXPECT_EQ(scrape(*store)["cluster.a.upstream_rq_total"], 0u);
}

TEST(Store, SchemasMayShareAPrefix) {
  auto store = make();
  auto http = store->group<HttpSchema>("http.in");
  auto router = store->group<RouterSchema>("http.in");
  router->at(0).inc(RouterStat::no_route);
  auto shown = scrape(*store);
  EXPECT_EQ(shown["http.in.no_route"], 1u);
  EXPECT_THAT(shown, Contains(Key("http.in.downstream_cx_total")));
}

TEST(Store, AnInclusionListShowsOnlyWhatMatches) {
  StatsConfig config;
  config.selection = StatsConfig::Selection::Include;
  config.patterns = {prefix("cluster.xds-grpc"), suffix("upstream_rq_503")};
  auto store = make(config);
  auto xds = store->group<ClusterSchema>("cluster.xds-grpc");
  auto other = store->group<ClusterSchema>("cluster.other");
  for (int round = 0; round < 2; ++round) {
    auto shown = scrape(*store);
    EXPECT_THAT(shown, Contains(Key("cluster.xds-grpc.upstream_cx_total")));
    EXPECT_THAT(shown, Not(Contains(Key("cluster.other.upstream_cx_total"))));
    EXPECT_THAT(shown, Not(Contains(Key("cluster.other.upstream_rq_completed"))));
  }
  other->at(0).count_response(ClusterScope::All, 503);
  EXPECT_EQ(scrape(*store)["cluster.other.upstream_rq_503"], 1u);
}

TEST(Store, AnExclusionListHidesWhatMatches) {
  StatsConfig config;
  config.selection = StatsConfig::Selection::Exclude;
  config.patterns = {suffix("_total")};
  auto store = make(config);
  auto group = store->group<ClusterSchema>("cluster.a");
  for (int round = 0; round < 2; ++round) {
    auto shown = scrape(*store);
    EXPECT_THAT(shown, Not(Contains(Key("cluster.a.upstream_rq_total"))));
    EXPECT_THAT(shown, Contains(Key("cluster.a.upstream_rq_active")));
  }
}

TEST(Store, RejectAllHidesEverything) {
  StatsConfig config;
  config.selection = StatsConfig::Selection::None;
  auto store = make(config);
  auto group = store->group<ClusterSchema>("cluster.a");
  auto listener = store->group<ListenerSchema>("listener.a");
  group->at(0).count_response(ClusterScope::All, 200);
  EXPECT_THAT(scrape(*store), IsEmpty());
}

TEST(Store, MetricsCarryTheBootstrapsTags) {
  StatsConfig config;
  config.use_all_default_tags = false;
  config.tags.push_back(
      {"cluster_name", StatsConfig::TagRule::Kind::Regex, R"(^cluster(\.(.+);))"});
  config.tags.push_back({"zone", StatsConfig::TagRule::Kind::Fixed, "eu"});
  auto store = make(config);
  auto group = store->group<ClusterSchema>(cluster_prefix("a.b;"));
  std::vector<Tag> tags;
  std::string base;
  for (int round = 0; round < 2; ++round) {
    store->scrape([&](const Metric& metric) {
      if (metric.name != "cluster.a.b;.upstream_cx_total") return;
      base = metric.base_name;
      tags.assign(metric.tags.begin(), metric.tags.end());
    });
    EXPECT_EQ(base, "cluster.upstream_cx_total");
    EXPECT_EQ(tags, (std::vector<Tag>{{"cluster_name", "a.b"}, {"zone", "eu"}}));
  }
}

TEST(Store, TheQuickWayToTagIsTheDefaultRules) {
  auto store = make();
  auto cluster = store->group<ClusterSchema>("cluster.a.b");
  cluster->at(0).count_response(ClusterScope::Canary, 200);
  auto tls = store->group<TlsSchema>("cluster.a.ssl");
  tls->at(0).inc(TlsStat::tls13);
  tls->at(0).inc(TlsStat::tls_aes_128_gcm_sha256);
  auto listener = store->group<ListenerSchema>(listener_prefix("[::1]:80"));
  auto http = store->group<HttpSchema>("http.in.x");
  auto rds = store->group<SubscriptionSchema>(rds_prefix("in", "r.1"));
  store->scrape([&](const Metric& metric) {
    TaggedName expected = default_tags(metric.name);
    EXPECT_EQ(metric.base_name, expected.base);
    EXPECT_EQ(std::vector<Tag>(metric.tags.begin(), metric.tags.end()), expected.tags)
        << metric.name;
  });
}

TEST(Store, HistogramsHaveTheBucketsOfTheFirstSettingThatMatches) {
  StatsConfig config;
  config.buckets.push_back({prefix("cluster.a."), {1, 2}});
  config.buckets.push_back({prefix("cluster."), {3}});
  auto store = make(config);
  auto a = store->group<ClusterSchema>("cluster.a");
  auto b = store->group<ClusterSchema>("cluster.b");
  a->at(0).record(ClusterHistogram::upstream_cx_connect_ms, 2);
  size_t checked = 0;
  store->scrape([&](const Metric& metric) {
    if (metric.name == "cluster.a.upstream_cx_connect_ms") {
      EXPECT_EQ(metric.histogram->counts, (std::vector<uint64_t>{0, 1, 0}));
      ++checked;
    }
    if (metric.name == "cluster.b.upstream_cx_connect_ms") {
      EXPECT_THAT(metric.histogram->bounds->bounds(), SizeIs(1));
      ++checked;
    }
  });
  EXPECT_EQ(checked, 2u);
}

TEST(Store, UnorderedBucketsAreRefused) {
  StatsConfig config;
  config.buckets.push_back({prefix(""), {2, 1}});
  EXPECT_FALSE(Store::make(config, 1).ok());
  config.buckets = {{prefix(""), {}}};
  EXPECT_FALSE(Store::make(config, 1).ok());
}

TEST(Store, ResettingSetsCountersToZeroAndLeavesGauges) {
  auto store = make();
  auto group = store->group<ClusterSchema>("cluster.a");
  auto& slab = group->at(0);
  slab.add(ClusterStat::upstream_rq_total, 5);
  slab.inc(ClusterStat::upstream_rq_active);
  slab.count_response(ClusterScope::All, 200);
  group->inc(ClusterMainStat::update_attempt);
  group->set(ClusterMainStat::membership_total, 3);
  store->reset_counters();
  slab.inc(ClusterStat::upstream_rq_total);
  slab.count_response(ClusterScope::All, 404);
  auto shown = scrape(*store);
  EXPECT_EQ(shown["cluster.a.upstream_rq_total"], 1u);
  EXPECT_EQ(shown["cluster.a.upstream_rq_active"], 1u);
  EXPECT_EQ(shown["cluster.a.upstream_rq_200"], 0u);
  EXPECT_EQ(shown["cluster.a.upstream_rq_404"], 1u);
  EXPECT_EQ(shown["cluster.a.upstream_rq_completed"], 1u);
  EXPECT_EQ(shown["cluster.a.update_attempt"], 0u);
  EXPECT_EQ(shown["cluster.a.membership_total"], 3u);
}

TEST(Store, AnIntervalHasOnlyWhatWasRecordedInIt) {
  auto store = make();
  auto group = store->group<ClusterSchema>("cluster.a");
  auto record = [&](uint64_t value) {
    group->at(0).record(ClusterHistogram::upstream_cx_connect_ms, value);
  };
  auto counts = [&] {
    std::pair<uint64_t, uint64_t> out;
    store->scrape([&](const Metric& metric) {
      if (metric.name == "cluster.a.upstream_cx_connect_ms") {
        out = {metric.interval->count, metric.histogram->count};
      }
    });
    return out;
  };
  record(1);
  EXPECT_EQ(counts(), std::make_pair(uint64_t{0}, uint64_t{1}));
  store->end_interval();
  EXPECT_EQ(counts(), std::make_pair(uint64_t{1}, uint64_t{1}));
  record(2);
  record(3);
  store->end_interval();
  EXPECT_EQ(counts(), std::make_pair(uint64_t{2}, uint64_t{3}));
  store->end_interval();
  EXPECT_EQ(counts(), std::make_pair(uint64_t{0}, uint64_t{3}));
}

TEST(Store, RefreshersRunBeforeAScrapeWhileTheirHandleLives) {
  auto store = make();
  auto group = store->group<ServerSchema>(kServerPrefix);
  int calls = 0;
  auto handle = store->before_scrape([&] { group->set(ServerMainStat::uptime, ++calls); });
  EXPECT_EQ(scrape(*store)["server.uptime"], 1u);
  EXPECT_EQ(scrape(*store)["server.uptime"], 2u);
  handle.reset();
  EXPECT_EQ(scrape(*store)["server.uptime"], 2u);
}

TEST(Store, CollectorsShowTheirOwnMetrics) {
  auto store = make();
  auto handle = store->add_collector([](Store::Visitor visit) {
    Metric metric;
    metric.name = "own.thing";
    metric.base_name = "thing";
    metric.value = 9;
    visit(metric);
  });
  EXPECT_EQ(scrape(*store)["own.thing"], 9u);
  handle.reset();
  EXPECT_THAT(scrape(*store), IsEmpty());
}

}  // namespace
}  // namespace remora::stats
