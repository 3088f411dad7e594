// Clusters of names: what is resolved when, and what becomes of the answers.
#include "proxy/upstream/dns/dns_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "proxy/upstream/dns/test_dns_server.h"
#include "proxy/upstream/test_hosts.h"

namespace remora::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::locality;
using testing::TestDnsServer;
using ::testing::UnorderedElementsAre;

EndpointConfig named(const std::string& name, uint16_t port, uint32_t weight = 1) {
  EndpointConfig endpoint;
  endpoint.hostname = name;
  endpoint.address = Address().with_port(port);
  endpoint.weight = weight;
  return endpoint;
}

class DnsClusterTest : public ::testing::Test {
 protected:
  DnsClusterTest() {
    config_.name = "test";
    config_.discovery = Discovery::StrictDns;
    config_.dns_family = DnsFamily::V4Only;
    config_.dns_refresh_ms = 20;
    config_.dns_failure_base_ms = config_.dns_failure_max_ms = 20;
    config_.assignment.localities = {locality({named("web.test", 80)})};
  }

  void start() {
    shared_ = std::make_shared<ClusterShared>(config_, *store_);
    cluster_ = std::make_unique<DnsCluster>(
        std::make_shared<ClusterConfig>(config_), *resolver_, loop_,
        [this](LoadAssignment assignment) {
          last_ = std::move(assignment);
          ++changes_;
        },
        shared_);
  }

  std::vector<std::string> addresses() const {
    std::vector<std::string> result;
    for (const LocalityEndpoints& group : last_.localities) {
      for (const EndpointPtr& endpoint : group.endpoints)
        result.push_back(endpoint->address.to_string());
    }
    return result;
  }

  template <class F>
  void run_until(F done) {
    const uint64_t deadline = monotonic_now_ms() + 10'000;
    while (!done() && monotonic_now_ms() < deadline) loop_.run_once(5);
    EXPECT_TRUE(done()) << "waited too long";
  }
  void run_until_asked(size_t times) {
    run_until([&] { return server_.questions.size() >= times; });
  }
  uint64_t metric(std::string_view name) {
    uint64_t value = 0;
    store_->scrape([&](const stats::Metric& metric) {
      if (metric.name == "cluster.test." + std::string(name)) value = metric.value;
    });
    return value;
  }

  EventLoop loop_;
  TestDnsServer server_{loop_};
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 1);
  std::unique_ptr<DnsResolver> resolver_ =
      *DnsResolver::create(loop_, {{server_.address()}, 100, 1});
  ClusterConfig config_;
  std::shared_ptr<ClusterShared> shared_;
  LoadAssignment last_;
  int changes_ = 0;
  std::unique_ptr<DnsCluster> cluster_;
};

TEST_F(DnsClusterTest, AStrictClusterHasAnEndpointForEveryAddress) {
  server_.set("web.test", {"10.0.0.1", "10.0.0.2"});
  config_.assignment.localities = {locality({named("web.test", 8080, 3)}, "a", 7, 0)};
  start();
  EXPECT_EQ(changes_, 0) << "never inside the constructor";
  run_until([&] { return changes_ == 1; });
  EXPECT_THAT(addresses(), UnorderedElementsAre("10.0.0.1:8080", "10.0.0.2:8080"));
  const LocalityEndpoints& group = last_.localities[0];
  EXPECT_EQ(group.locality.zone, "a");
  EXPECT_EQ(group.weight, 7u);
  EXPECT_EQ(group.endpoints[0]->weight, 3u);
  EXPECT_EQ(group.endpoints[0]->hostname, "web.test");
}

TEST_F(DnsClusterTest, EveryNameKeepsItsPlace) {
  server_.set("one.test", {"10.0.0.1"});
  server_.set("two.test", {"10.0.0.2"});
  config_.assignment.localities = {locality({named("one.test", 81)}, "a", 0, 0),
                                   locality({named("two.test", 82)}, "b", 0, 1)};
  start();
  run_until([&] { return changes_ == 2; });
  EXPECT_THAT(addresses(), ElementsAre("10.0.0.1:81", "10.0.0.2:82"));
  EXPECT_EQ(last_.localities[1].priority, 1u);
}

TEST_F(DnsClusterTest, SaysOnlyWhatChanged) {
  server_.set("web.test", {"10.0.0.1", "10.0.0.2"});
  start();
  run_until_asked(1);
  server_.set("web.test", {"10.0.0.2", "10.0.0.1"});
  run_until_asked(4);
  EXPECT_EQ(changes_, 1);
  server_.set("web.test", {"10.0.0.3"});
  run_until([&] { return changes_ == 2; });
  EXPECT_THAT(addresses(), ElementsAre("10.0.0.3:80"));
  EXPECT_GE(metric("update_attempt"), 4u);
  EXPECT_GE(metric("update_no_rebuild"), 2u);
  EXPECT_GE(metric("update_success"), 4u);
}

TEST_F(DnsClusterTest, AFailureKeepsWhatIsKnown) {
  server_.set("web.test", {"10.0.0.1"});
  start();
  run_until([&] { return changes_ == 1; });
  server_.fail("web.test", TestDnsServer::kServerFailure);
  run_until([&] { return metric("update_failure") >= 2; });
  EXPECT_EQ(changes_, 1);
}

TEST_F(DnsClusterTest, AFirstFailureIsToldSoThatNobodyWaits) {
  server_.fail("web.test", TestDnsServer::kServerFailure);
  start();
  run_until([&] { return changes_ == 1; });
  EXPECT_THAT(addresses(), IsEmpty());
  server_.set("web.test", {"10.0.0.1"});
  run_until([&] { return changes_ == 2; });
  EXPECT_THAT(addresses(), ElementsAre("10.0.0.1:80"));
}

TEST_F(DnsClusterTest, AStrictClusterLosesTheHostsOfANameThatIsGone) {
  server_.set("web.test", {"10.0.0.1"});
  start();
  run_until([&] { return changes_ == 1; });
  server_.set("web.test", {});
  run_until([&] { return changes_ == 2; });
  EXPECT_THAT(addresses(), IsEmpty());
  EXPECT_GE(metric("update_empty"), 1u);
}

TEST_F(DnsClusterTest, ALogicalClusterHasOneEndpointAndKeepsItOverEmptyAnswers) {
  config_.discovery = Discovery::LogicalDns;
  server_.set("web.test", {"10.0.0.1", "10.0.0.2"});
  start();
  run_until([&] { return changes_ == 1; });
  EXPECT_THAT(addresses(), ::testing::SizeIs(1));
  server_.set("web.test", {});
  run_until([&] { return metric("update_failure") >= 1; });
  EXPECT_EQ(changes_, 1);
  server_.set("web.test", {"10.0.0.9"});
  run_until([&] { return addresses() == std::vector<std::string>{"10.0.0.9:80"}; });
}

TEST_F(DnsClusterTest, TheTimeToLiveIsHonouredWhenSoConfigured) {
  config_.dns_refresh_ms = 3'600'000;
  config_.respect_dns_ttl = true;
  server_.set("web.test", {"10.0.0.1"}, 1);
  start();
  run_until_asked(2);
}

TEST_F(DnsClusterTest, FailuresBackOffUpToTheMaximum) {
  config_.dns_refresh_ms = 3'600'000;
  config_.dns_failure_base_ms = 2;
  config_.dns_failure_max_ms = 40;
  server_.fail("web.test", TestDnsServer::kServerFailure);
  start();
  run_until_asked(8);
}

TEST_F(DnsClusterTest, ClustersMayHaveServersOfTheirOwn) {
  TestDnsServer own(loop_);
  own.set("web.test", {"10.9.9.9"});
  config_.dns_servers = {own.address()};
  start();
  run_until([&] { return changes_ == 1; });
  EXPECT_THAT(addresses(), ElementsAre("10.9.9.9:80"));
  EXPECT_THAT(server_.questions, IsEmpty());
}

TEST_F(DnsClusterTest, AnAddressInPlaceOfANameIsTakenAsItIs) {
  EndpointConfig literal = testing::endpoint("192.0.2.1", 81);
  config_.assignment.localities = {locality({literal})};
  start();
  run_until([&] { return changes_ == 1; });
  EXPECT_THAT(addresses(), ElementsAre("192.0.2.1:81"));
  EXPECT_THAT(server_.questions, IsEmpty());
}

TEST_F(DnsClusterTest, GoesAwayWithQueriesInFlight) {
  server_.set_silent(true);
  start();
  run_until_asked(1);
  cluster_.reset();
  resolver_.reset();
  EXPECT_EQ(changes_, 0);
}

}  // namespace
}  // namespace remora::upstream
