// The resolver against a DNS server of the test's own.
#include "proxy/upstream/dns/dns_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "proxy/upstream/dns/test_dns_server.h"

namespace remora::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::TestDnsServer;
using ::testing::UnorderedElementsAre;

class DnsResolverTest : public ::testing::Test {
 protected:
  DnsResolver& resolver() {
    if (resolver_ == nullptr) {
      options_.servers = {server_.address()};
      resolver_ = *DnsResolver::create(loop_, options_);
    }
    return *resolver_;
  }

  DnsAnswer ask(const std::string& name, DnsFamily family) {
    std::optional<DnsAnswer> answer;
    auto query = resolver().resolve(name, family, [&](const DnsAnswer& got) { answer = got; });
    EXPECT_FALSE(answer) << "answered inside the call";
    run_until([&] { return answer.has_value(); });
    return answer.value_or(DnsAnswer());
  }

  static std::vector<std::string> ips(const DnsAnswer& answer) {
    std::vector<std::string> result;
    for (const DnsRecord& record : answer.records) result.push_back(record.address.ip_string());
    return result;
  }

  template <class F>
  void run_until(F done) {
    const uint64_t deadline = monotonic_now_ms() + 10'000;
    while (!done() && monotonic_now_ms() < deadline) loop_.run_once(10);
    EXPECT_TRUE(done()) << "waited too long";
  }

  EventLoop loop_;
  TestDnsServer server_{loop_};
  DnsResolver::Options options_{{}, 200, 2};
  std::unique_ptr<DnsResolver> resolver_;
};

TEST_F(DnsResolverTest, AnswersWithAllAddressesAndTheirLifetime) {
  server_.set("web.test", {"10.0.0.1", "10.0.0.2"}, 30);
  const DnsAnswer answer = ask("web.test", DnsFamily::V4Only);
  EXPECT_TRUE(answer.ok);
  EXPECT_THAT(ips(answer), UnorderedElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_EQ(answer.records[0].ttl_s, 30u);
  EXPECT_EQ(answer.records[0].address.port(), 0);
  EXPECT_EQ(resolver().queries_in_flight(), 0u);
}

TEST_F(DnsResolverTest, AsksForTheFamilyWanted) {
  server_.set("web.test", {"10.0.0.1", "fd00::1"});
  EXPECT_THAT(ips(ask("web.test", DnsFamily::V4Only)), ElementsAre("10.0.0.1"));
  EXPECT_THAT(ips(ask("web.test", DnsFamily::V6Only)), ElementsAre("fd00::1"));
  EXPECT_THAT(ips(ask("web.test", DnsFamily::All)), UnorderedElementsAre("10.0.0.1", "fd00::1"));
  EXPECT_THAT(ips(ask("web.test", DnsFamily::Auto)), ElementsAre("fd00::1"));
  EXPECT_THAT(ips(ask("web.test", DnsFamily::V4Preferred)), ElementsAre("10.0.0.1"));
}

TEST_F(DnsResolverTest, FallsBackToTheOtherFamily) {
  server_.set("four.test", {"10.0.0.1"});
  server_.set("six.test", {"fd00::1"});
  EXPECT_THAT(ips(ask("four.test", DnsFamily::Auto)), ElementsAre("10.0.0.1"));
  EXPECT_THAT(ips(ask("six.test", DnsFamily::V4Preferred)), ElementsAre("fd00::1"));
  EXPECT_THAT(ips(ask("six.test", DnsFamily::V4Only)), IsEmpty());
}

TEST_F(DnsResolverTest, NoSuchNameIsAnAnswerWithoutAddresses) {
  const DnsAnswer answer = ask("nowhere.test", DnsFamily::V4Only);
  EXPECT_TRUE(answer.ok);
  EXPECT_THAT(answer.records, IsEmpty());
}

TEST_F(DnsResolverTest, AServersFailureIsAFailure) {
  server_.fail("broken.test", TestDnsServer::kServerFailure);
  const DnsAnswer answer = ask("broken.test", DnsFamily::V4Only);
  EXPECT_FALSE(answer.ok);
  EXPECT_NE(answer.failure, "");
}

TEST_F(DnsResolverTest, ASilentServerIsGivenUpAfterItsTries) {
  options_.timeout_ms = 30;
  server_.set_silent(true);
  const DnsAnswer answer = ask("web.test", DnsFamily::V4Only);
  EXPECT_FALSE(answer.ok);
  EXPECT_EQ(server_.questions.size(), 2u);
}

TEST_F(DnsResolverTest, LiteralAddressesNeedNoServer) {
  EXPECT_THAT(ips(ask("192.0.2.7", DnsFamily::V4Only)), ElementsAre("192.0.2.7"));
  EXPECT_THAT(server_.questions, IsEmpty());
}

TEST_F(DnsResolverTest, ACancelledQueryIsNotAnswered) {
  server_.set("web.test", {"10.0.0.1"});
  bool called = false;
  auto query =
      resolver().resolve("web.test", DnsFamily::V4Only, [&](const DnsAnswer&) { called = true; });
  query.reset();
  auto literal =
      resolver().resolve("192.0.2.7", DnsFamily::V4Only, [&](const DnsAnswer&) { called = true; });
  literal.reset();
  EXPECT_THAT(ips(ask("web.test", DnsFamily::V4Only)), ElementsAre("10.0.0.1"));
  run_until([&] { return resolver().queries_in_flight() == 0; });
  EXPECT_FALSE(called);
}

TEST_F(DnsResolverTest, TheCallbackMayDropItsQuery) {
  server_.set("web.test", {"10.0.0.1"});
  std::unique_ptr<DnsQuery> query;
  bool called = false;
  query = resolver().resolve("web.test", DnsFamily::V4Only, [&](const DnsAnswer&) {
    called = true;
    query.reset();
  });
  run_until([&] { return called; });
}

TEST_F(DnsResolverTest, GoesAwayWithQueriesInFlight) {
  server_.set_silent(true);
  bool called = false;
  auto query =
      resolver().resolve("web.test", DnsFamily::All, [&](const DnsAnswer&) { called = true; });
  loop_.run_once(1);
  resolver_.reset();
  query.reset();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace remora::upstream
