// ORIGINAL_DST: hosts that come and go with what is asked for, under simulated time.
#include "proxy/upstream/original_dst.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace remora::upstream {
namespace {

using ::testing::IsNull;
using ::testing::NotNull;

class OriginalDstTest : public ::testing::Test {
 protected:
  OriginalDst& balancer() {
    if (balancer_ == nullptr) {
      OriginalDst::Events events;
      events.on_forgotten = [this](const HostPtr& host) {
        forgotten_.push_back(host->address().to_string());
      };
      events.on_invalid_destination = [this] { ++invalid_; };
      events.is_own_address = [this](const Address& address) { return address == own_; };
      balancer_ = std::make_unique<OriginalDst>(std::make_shared<ClusterConfig>(config_), worker_,
                                                std::move(events));
    }
    return *balancer_;
  }

  HostPtr pick(const std::string& destination) {
    const Address address = parse_ip_port(destination);
    PickContext context;
    context.original_destination = &address;
    return balancer().pick(context);
  }

  HostPtr pick_by_header(std::string_view header) {
    PickContext context;
    context.override_host_header = header;
    return balancer().pick(context);
  }

  void pass(uint64_t ms) {
    const_cast<TurnTime&>(loop_.time()).now_ms += ms;
    loop_.timers().advance();
  }

  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 42};
  ClusterConfig config_;
  Address own_;
  std::unique_ptr<OriginalDst> balancer_;
  std::vector<std::string> forgotten_;
  int invalid_ = 0;
};

TEST_F(OriginalDstTest, ADestinationIsItsOwnHost) {
  const HostPtr host = pick("10.0.0.1:80");
  ASSERT_THAT(host, NotNull());
  EXPECT_EQ(host->address().to_string(), "10.0.0.1:80");
  EXPECT_EQ(pick("10.0.0.1:80"), host);
  EXPECT_NE(pick("10.0.0.1:81"), host);
  EXPECT_NE(pick("[fd00::1]:80"), host);
  EXPECT_EQ(balancer().host_count(), 3u);
}

TEST_F(OriginalDstTest, WithoutADestinationThereIsNobody) {
  EXPECT_THAT(balancer().pick({}), IsNull());
  EXPECT_THAT(pick_by_header("10.0.0.1:80"), IsNull()) << "the header counts only when configured";
}

TEST_F(OriginalDstTest, TheConfiguredHeaderGoesBeforeTheDestination) {
  config_.original_dst_use_http_header = true;
  const Address address = parse_ip_port("10.0.0.1:80");
  PickContext context;
  context.original_destination = &address;
  context.override_host_header = "10.0.0.9:90";
  EXPECT_EQ(balancer().pick(context)->address().to_string(), "10.0.0.9:90");
  context.override_host_header = {};
  EXPECT_EQ(balancer().pick(context)->address().to_string(), "10.0.0.1:80");
}

TEST_F(OriginalDstTest, AHeaderThatIsNoAddressIsCounted) {
  config_.original_dst_use_http_header = true;
  for (const char* bad : {"example.com:80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:99999", "fd00::1:80",
                          "10.0.0.1:80x"}) {
    EXPECT_THAT(pick_by_header(bad), IsNull()) << bad;
  }
  EXPECT_EQ(invalid_, 6);
  EXPECT_EQ(balancer().host_count(), 0u);
}

TEST_F(OriginalDstTest, MetadataGoesFirstAndNonsenseNowhere) {
  config_.original_dst_use_http_header = true;
  const Address address = parse_ip_port("10.0.0.1:80");
  PickContext context;
  context.original_destination = &address;
  context.override_host_header = "10.0.0.2:80";
  context.override_host_metadata = "10.0.0.3:80";
  EXPECT_EQ(balancer().pick(context)->address().to_string(), "10.0.0.3:80");
  context.override_host_metadata = "nowhere";
  EXPECT_EQ(balancer().pick(context)->address().to_string(), "10.0.0.2:80");
  context.override_host_header = "nowhere";
  EXPECT_EQ(balancer().pick(context)->address().to_string(), "10.0.0.1:80");
  EXPECT_EQ(invalid_, 3);
}

TEST(DestinationInMetadata, IsTextOrTheFirstOfAList) {
  Metadata request, connection;
  const std::vector<std::string> key = {"filter", "to", "host"};
  EXPECT_EQ(destination_in(key, {&request, &connection}), "");
  connection.at("filter")["to"] = MetadataStruct{{"host", "10.0.0.1:80"}};
  EXPECT_EQ(destination_in(key, {&request, &connection}), "10.0.0.1:80");
  request.at("filter")["to"] = MetadataStruct{{"host", 7.0}};
  EXPECT_EQ(destination_in(key, {&request, &connection}), "10.0.0.1:80");
  request.at("filter")["to"] = MetadataStruct{{"host", MetadataList{"10.0.0.2:80", "x"}}};
  EXPECT_EQ(destination_in(key, {&request, &connection}), "10.0.0.2:80");
}

TEST_F(OriginalDstTest, ThePortMayBeOverridden) {
  config_.original_dst_port_override = 15008;
  EXPECT_EQ(pick("10.0.0.1:80")->address().to_string(), "10.0.0.1:15008");
  EXPECT_EQ(pick("10.0.0.1:81"), pick("10.0.0.1:80"));
}

TEST_F(OriginalDstTest, TheProxysOwnAddressIsRefused) {
  own_ = parse_ip_port("10.0.0.1:15001");
  EXPECT_THAT(pick("10.0.0.1:15001"), IsNull());
  EXPECT_THAT(pick("10.0.0.1:15002"), NotNull());
}

TEST_F(OriginalDstTest, HostsUnusedForAWholeIntervalAreForgotten) {
  const HostPtr used = pick("10.0.0.1:80");
  pick("10.0.0.2:80");
  pass(5000);  // both were used in this interval
  EXPECT_EQ(balancer().host_count(), 2u);
  EXPECT_EQ(pick("10.0.0.1:80"), used);
  pass(5000);
  EXPECT_THAT(forgotten_, ::testing::ElementsAre("10.0.0.2:80"));
  EXPECT_TRUE(balancer().knows(*used));
  pass(5000);
  EXPECT_EQ(balancer().host_count(), 0u);
  EXPECT_FALSE(balancer().knows(*used));
}

TEST_F(OriginalDstTest, HostsWithConnectionsAreKept) {
  const HostPtr host = pick("10.0.0.1:80");
  host->counters.cx_active = 1;
  pass(5000);
  pass(5000);
  pass(5000);
  EXPECT_EQ(pick("10.0.0.1:80"), host);
}

TEST_F(OriginalDstTest, AnIntervalOfCenturiesIsNever) {
  config_.cleanup_interval_ms = 9'223'372'035'000;
  const HostPtr host = pick("10.0.0.1:80");
  pass(uint64_t{1000} * 3600 * 24 * 365);
  EXPECT_EQ(pick("10.0.0.1:80"), host);
}

}  // namespace
}  // namespace remora::upstream
