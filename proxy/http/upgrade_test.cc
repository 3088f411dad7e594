// Which requests want another kind of connection, and which answers give it.
#include "proxy/http/upgrade.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string_view>
#include <utility>

namespace remora::http {
namespace {

class UpgradeTest : public testing::Test {
 protected:
  using Fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  HeaderMap& request(Fields fields) {
    auto* headers = arena_.make<HeaderMap>(arena_);
    for (const auto& [name, value] : fields) headers->add(name, value);
    return *headers;
  }

 private:
  BlockPool blocks_;
  Arena arena_{blocks_};
};

TEST_F(UpgradeTest, IsWantedWhenConnectionSaysSo) {
  EXPECT_EQ(wanted_upgrade(request({{"upgrade", "websocket"}, {"connection", "Upgrade"}})),
            "websocket");
  EXPECT_EQ(wanted_upgrade(request({{"connection", "keep-alive ,\tUPGRADE"}, {"upgrade", "x/1"}})),
            "x/1");
  EXPECT_EQ(
      wanted_upgrade(request({{"connection", "a"}, {"connection", "upgrade"}, {"upgrade", "x"}})),
      "x");
  EXPECT_EQ(wanted_upgrade(request({{"upgrade", "websocket"}})), "");
  EXPECT_EQ(wanted_upgrade(request({{"upgrade", "websocket"}, {"connection", "upgraded"}})), "");
  EXPECT_EQ(wanted_upgrade(request({{"connection", "upgrade"}})), "");
}

TEST_F(UpgradeTest, AConnectWantsATunnelWhateverElseItSays) {
  EXPECT_EQ(wanted_tunnel(request({{":method", "CONNECT"}})), kConnect);
  EXPECT_EQ(wanted_tunnel(request(
                {{":method", "CONNECT"}, {"connection", "upgrade"}, {"upgrade", "websocket"}})),
            kConnect);
  EXPECT_EQ(wanted_tunnel(request({{":method", "GET"}})), "");
}

TEST_F(UpgradeTest, OnlyTheRightAnswerOpensATunnel) {
  EXPECT_TRUE(opens_tunnel("websocket", 101));
  EXPECT_FALSE(opens_tunnel("websocket", 200));
  EXPECT_FALSE(opens_tunnel("websocket", 403));
  EXPECT_TRUE(opens_tunnel(kConnect, 200));
  EXPECT_TRUE(opens_tunnel(kConnect, 204));
  EXPECT_FALSE(opens_tunnel(kConnect, 101));
  EXPECT_FALSE(opens_tunnel(kConnect, 407));
  EXPECT_FALSE(opens_tunnel("", 101));
  EXPECT_FALSE(opens_tunnel("", 200));
}

}  // namespace
}  // namespace remora::http
