// Names of a dynamic forward proxy as a worker sees them: keys, who waits, hosts that are made and
// forgotten.
#include "proxy/upstream/dns_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "proxy/stats/store.h"
#include "proxy/upstream/forward_hosts.h"

namespace remora::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::IsNull;
using ::testing::NotNull;

class HostKeyTest : public ::testing::Test {
 protected:
  std::string key(std::string_view authority) {
    return std::string(host_key(authority, 80, arena_));
  }
  /// Host and port as they would be looked up.
  std::string parts(std::string_view authority) {
    const std::string_view key = host_key(authority, 80, arena_);
    const HostAndPort found = parts_of_key(key);
    return std::string(found.host) + " " + std::to_string(found.port);
  }

  BlockPool blocks_;
  Arena arena_{blocks_};
};

TEST_F(HostKeyTest, NamesAndAddresses) {
  EXPECT_EQ(key("app.test"), "app.test:80");
  EXPECT_EQ(key("app.test:8080"), "app.test:8080");
  EXPECT_EQ(parts("app.test:8080"), "app.test 8080");
  EXPECT_EQ(parts("app_1.test."), "app_1.test. 80");
  EXPECT_EQ(parts("10.0.0.1:65535"), "10.0.0.1 65535");
  EXPECT_EQ(key("[fd00::1]"), "[fd00::1]:80");
  EXPECT_EQ(parts("[fd00::1]"), "fd00::1 80");
  EXPECT_EQ(parts("[::ffff:10.0.0.1]:90"), "::ffff:10.0.0.1 90");
  EXPECT_EQ(key(std::string(63, 'a') + ".test"), std::string(63, 'a') + ".test:80");
}

TEST_F(HostKeyTest, WhatNamesNoHost) {
  for (const char* authority : {"",
                                ".",
                                ":80",
                                "app.test:",
                                "app.test:x",
                                "app.test:-1",
                                "app.test:+1",
                                "app.test:65536",
                                "app.test:000080",
                                "app.test:80:80",
                                "app..test",
                                ".app.test",
                                "user@app.test",
                                "user:pass@app.test:80",
                                "app.test/x",
                                "app test",
                                "app.test\t",
                                "a\xc3\xa9.test",
                                "[",
                                "[]",
                                "[]:80",
                                "[::1",
                                "::1",
                                "[::1]x",
                                "[::1]:",
                                "[::1]80",
                                "x[::1]",
                                "[app.test]",
                                "[10.0.0.1]",
                                "[fe80::1%lo]",
                                "[[::1]]",
                                "%31.test"}) {
    EXPECT_EQ(key(authority), "") << authority;
  }
  EXPECT_EQ(key(std::string(64, 'a') + ".test"), "");
  std::string name;
  while (name.size() < 253) name += "a.";
  EXPECT_EQ(key(name.substr(0, 253)), name.substr(0, 253) + ":80");
  EXPECT_EQ(key(name.substr(0, 253) + "aa"), "");
}

class TestWaiter final : public DnsCache::Waiter {
 public:
  ~TestWaiter() = default;
  using Waiter::cancel;
  void on_name(const ResolvedNamePtr& name) override {
    heard.push_back(name == nullptr ? "overflow" : name->addresses.empty() ? "failed" : "known");
    if (then) then();
  }

  std::vector<std::string> heard;
  std::function<void()> then;
};

class DnsCacheTest : public ::testing::Test, private DnsCacheResolver {
 protected:
  std::shared_ptr<DnsCache> cache() {
    DnsCacheResolver& resolver = *this;
    if (cache_ == nullptr) {
      cache_ = std::make_shared<DnsCache>(config_, 2, resolver,
                                          store_->group<DnsCacheSchema>("dns_cache.c"));
    }
    return cache_;
  }

  static ResolvedNamePtr name_at(const std::string& key, std::initializer_list<const char*> ips) {
    auto name = std::make_shared<ResolvedName>();
    name->key = key;
    for (const char* ip : ips) {
      name->addresses.push_back(*Address::from_ip(ip, parts_of_key(key).port));
    }
    name->last_used = std::make_shared<std::atomic<MonotonicMs>>(0);
    return name;
  }
  void deliver(const std::string& key, std::initializer_list<const char*> ips) {
    cache()->deliver(0, key, name_at(key, ips));
  }
  uint64_t overflows() {
    return cache()->stats().at(0).value(DnsCacheStat::dns_rq_pending_overflow);
  }

  DnsCacheConfig config_;
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 2);
  std::vector<std::string> asked_;

 private:
  void ask(std::weak_ptr<DnsCache> cache, std::string key, uint32_t thread) override {
    EXPECT_EQ(cache.lock(), cache_);
    asked_.push_back(key + " " + std::to_string(thread));
  }

  std::shared_ptr<DnsCache> cache_;
};

TEST_F(DnsCacheTest, AllWhoWaitOnAThreadHearOnce) {
  TestWaiter a, b, other, elsewhere;
  EXPECT_THAT(cache()->find(0, "a:80"), IsNull());
  EXPECT_TRUE(cache()->wait(0, "a:80", a));
  EXPECT_TRUE(cache()->wait(0, "a:80", b));
  EXPECT_TRUE(cache()->wait(0, "b:80", other));
  EXPECT_TRUE(cache()->wait(1, "a:80", elsewhere));
  EXPECT_THAT(asked_, ElementsAre("a:80 0", "b:80 0", "a:80 1"));
  EXPECT_EQ(cache()->pending(), 4u);
  deliver("a:80", {"10.0.0.1"});
  deliver("a:80", {"10.0.0.2"});
  EXPECT_THAT(a.heard, ElementsAre("known"));
  EXPECT_THAT(b.heard, ElementsAre("known"));
  EXPECT_THAT(other.heard, IsEmpty());
  EXPECT_THAT(elsewhere.heard, IsEmpty());
  EXPECT_EQ(cache()->pending(), 2u);
  ASSERT_THAT(cache()->find(0, "a:80"), NotNull());
  EXPECT_EQ((*cache()->find(0, "a:80"))->addresses.front().to_string(), "10.0.0.2:80");
  EXPECT_THAT(cache()->find(1, "a:80"), IsNull());
}

TEST_F(DnsCacheTest, WhoLeavesNoLongerWaits) {
  TestWaiter stays;
  {
    TestWaiter leaves, cancels;
    EXPECT_TRUE(cache()->wait(0, "a:80", leaves));
    EXPECT_TRUE(cache()->wait(0, "a:80", cancels));
    cancels.cancel();
    cancels.cancel();
    EXPECT_EQ(cache()->pending(), 1u);
  }
  EXPECT_EQ(cache()->pending(), 0u);
  EXPECT_TRUE(cache()->wait(0, "a:80", stays));
  EXPECT_THAT(asked_, ElementsAre("a:80 0")) << "the question of before is still on its way";
  deliver("a:80", {});
  EXPECT_THAT(stays.heard, ElementsAre("failed"));
  EXPECT_EQ(cache()->pending(), 0u);
}

TEST_F(DnsCacheTest, HearingOneMayRemoveTheNext) {
  TestWaiter first;
  auto second = std::make_unique<TestWaiter>();
  TestWaiter third;
  cache()->wait(0, "a:80", first);
  cache()->wait(0, "a:80", *second);
  cache()->wait(0, "a:80", third);
  first.then = [&] { second.reset(); };
  deliver("a:80", {"10.0.0.1"});
  EXPECT_THAT(third.heard, ElementsAre("known"));
  EXPECT_EQ(cache()->pending(), 0u);
}

TEST_F(DnsCacheTest, WithoutRoomForTheNameItIsAskedForAnew) {
  TestWaiter a;
  a.then = [&] {
    if (a.heard.size() == 1) cache()->wait(0, "a:80", a);
  };
  cache()->wait(0, "a:80", a);
  cache()->deliver(0, "a:80", nullptr);
  EXPECT_THAT(cache()->find(0, "a:80"), IsNull());
  cache()->deliver(0, "a:80", nullptr);
  EXPECT_THAT(a.heard, ElementsAre("overflow", "overflow"));
  EXPECT_THAT(asked_, ElementsAre("a:80 0", "a:80 0"));
  EXPECT_EQ(cache()->pending(), 0u);
}

TEST_F(DnsCacheTest, OnlySoManyWait) {
  config_.max_pending = 2;
  TestWaiter a, b, c;
  EXPECT_TRUE(cache()->wait(0, "a:80", a));
  EXPECT_TRUE(cache()->wait(1, "b:80", b));
  EXPECT_FALSE(cache()->wait(0, "c:80", c));
  EXPECT_EQ(overflows(), 1u);
  EXPECT_EQ(asked_.size(), 2u);
  a.cancel();
  EXPECT_TRUE(cache()->wait(0, "c:80", c));
}

class ForwardHostsTest : public DnsCacheTest {
 protected:
  ForwardHosts& hosts() {
    if (hosts_ == nullptr) {
      ForwardHosts::Events events;
      events.on_forgotten = [this](const Host& host) { forgotten_.push_back(host.pool_key()); };
      events.listens_at = [this](const Address& address) {
        const bool is_v4 = address.family() == Address::Family::V4;
        const Address any = *Address::from_ip(is_v4 ? "0.0.0.0" : "::", address.port());
        return listens_at_.contains(address.to_string()) || listens_at_.contains(any.to_string());
      };
      hosts_ = std::make_unique<ForwardHosts>(cache(), worker_, std::move(events));
    }
    return *hosts_;
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  std::set<std::string> listens_at_;
  std::vector<const Host*> forgotten_;
  std::unique_ptr<ForwardHosts> hosts_;
};

TEST_F(ForwardHostsTest, AHostKeepsItsPoolsOverItsAddresses) {
  EXPECT_THAT(hosts().pick("a:80"), IsNull());
  EXPECT_THAT(hosts().pick(""), IsNull());
  deliver("a:80", {"10.0.0.1", "10.0.0.2"});
  const HostPtr first = hosts().pick("a:80");
  ASSERT_THAT(first, NotNull());
  EXPECT_EQ(first->address().to_string(), "10.0.0.1:80");
  EXPECT_EQ(first->extras().more_addresses.size(), 1u);
  EXPECT_EQ(hosts().pick("a:80"), first);
  const Host* pool_key = first->pool_key();
  EXPECT_TRUE(hosts().knows(*pool_key));
  for (const char* ip : {"10.0.0.3", "10.0.0.4"}) {
    deliver("a:80", {ip});
    EXPECT_EQ(hosts().pick("a:80")->address().to_string(), std::string(ip) + ":80");
    EXPECT_EQ(hosts().pick("a:80")->pool_key(), pool_key);
  }
  EXPECT_TRUE(hosts().knows(*pool_key));
  EXPECT_EQ(hosts().size(), 1u);
}

TEST_F(ForwardHostsTest, ANameThatIsForgottenTakesItsHostAlong) {
  deliver("a:80", {"10.0.0.1"});
  deliver("b:80", {"10.0.0.1"});
  const HostPtr host = hosts().pick("a:80");
  cache()->forget(0, "b:80");
  cache()->forget(0, "nowhere:80");
  EXPECT_THAT(forgotten_, IsEmpty()) << "there was no host of it";
  cache()->forget(0, "a:80");
  EXPECT_THAT(forgotten_, ElementsAre(host->pool_key()));
  EXPECT_FALSE(hosts().knows(*host->pool_key()));
  EXPECT_THAT(hosts().pick("a:80"), IsNull());
  EXPECT_EQ(hosts().size(), 0u);
  deliver("a:80", {"10.0.0.1"});
  EXPECT_NE(hosts().pick("a:80")->pool_key(), host->pool_key());
}

TEST_F(ForwardHostsTest, NobodyIsWhereItCouldNotBeResolved) {
  deliver("a:80", {});
  EXPECT_THAT(hosts().pick("a:80"), IsNull());
  EXPECT_EQ(hosts().size(), 0u);
}

TEST_F(ForwardHostsTest, NobodyIsWhereThisProxyListens) {
  listens_at_ = {"0.0.0.0:1", "[::]:2", "127.0.0.1:3", "[::1]:4", "10.0.0.1:5"};
  const auto reaches = [this](const char* ip, int port) {
    const std::string key = "a:" + std::to_string(port);
    deliver(key, {ip});
    return hosts().pick(key) != nullptr;
  };
  EXPECT_FALSE(reaches("127.0.0.1", 1));
  EXPECT_FALSE(reaches("::ffff:127.0.0.1", 1));
  EXPECT_FALSE(reaches("0.0.0.0", 1));
  EXPECT_TRUE(reaches("10.0.0.1", 1)) << "which may well be another machine";
  EXPECT_FALSE(reaches("127.0.0.1", 2)) << "it may be for both families";
  EXPECT_FALSE(reaches("::1", 2));
  EXPECT_TRUE(reaches("fd00::1", 2));
  EXPECT_FALSE(reaches("127.0.0.1", 3));
  EXPECT_FALSE(reaches("0.0.0.0", 3));
  EXPECT_TRUE(reaches("127.0.0.2", 3));
  EXPECT_FALSE(reaches("::", 4));
  EXPECT_FALSE(reaches("10.0.0.1", 5));
  EXPECT_TRUE(reaches("10.0.0.2", 5));
}

TEST_F(ForwardHostsTest, UsingAHostUsesItsName) {
  deliver("a:80", {"10.0.0.1"});
  const auto last_used = (*cache()->find(0, "a:80"))->last_used;
  const_cast<TurnTime&>(loop_.time()).now_ms = 5'000;
  hosts().pick("a:80");
  EXPECT_EQ(last_used->load(), 5'000u);
}

}  // namespace
}  // namespace remora::upstream
