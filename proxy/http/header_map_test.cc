// The header map: arrival order, lookups by id and by name, edits that keep both true.
#include "proxy/http/header_map.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::http {
namespace {

class HeaderMapTest : public ::testing::Test {
 protected:
  std::string text() const {
    std::string out;
    for (const HeaderEntry& entry : map_.entries()) {
      if (!entry.removed) out += std::string(entry.name) + "=" + std::string(entry.value) + " ";
    }
    return out;
  }

  BlockPool pool_;
  Arena arena_{pool_};
  HeaderMap map_{arena_};
};

TEST_F(HeaderMapTest, KeepsArrivalOrderAndFindsTheFirst) {
  map_.add("host", "a");
  map_.add("x-other", "1");
  map_.add(HeaderId::Host, "b");
  EXPECT_EQ(text(), "host=a x-other=1 host=b ");
  EXPECT_EQ(map_.get(HeaderId::Host), "a");
  EXPECT_EQ(map_.count(HeaderId::Host), 2u);
  EXPECT_EQ(map_.find("x-other")->value, "1");
  EXPECT_EQ(map_.find("host")->value, "a");
  EXPECT_EQ(map_.find("absent"), nullptr);
  EXPECT_FALSE(map_.has(HeaderId::Cookie));
  EXPECT_EQ(map_.get(HeaderId::Cookie), "");
}

TEST_F(HeaderMapTest, SetLeavesOneOccurrence) {
  map_.add("cookie", "1");
  map_.add("x", "1");
  map_.add("cookie", "2");
  map_.add("x", "2");
  map_.set(HeaderId::Cookie, "3");
  map_.set("x", "3");
  map_.set("y", "new");
  map_.set("accept", "*");
  EXPECT_EQ(text(), "cookie=3 x=3 y=new accept=* ");
  EXPECT_EQ(map_.live_count(), 4u);
  EXPECT_EQ(map_.get(HeaderId::Accept), "*");
}

TEST_F(HeaderMapTest, RemoveTakesAllOccurrences) {
  map_.add("via", "1");
  map_.add("x", "1");
  map_.add("via", "2");
  map_.add("x", "2");
  EXPECT_EQ(map_.remove(HeaderId::Via), 2u);
  EXPECT_EQ(map_.remove(HeaderId::Via), 0u);
  EXPECT_EQ(map_.remove("x"), 2u);
  EXPECT_EQ(map_.remove("via"), 0u);
  EXPECT_EQ(map_.live_count(), 0u);
  EXPECT_FALSE(map_.has(HeaderId::Via));
  map_.add(HeaderId::Via, "3");
  EXPECT_EQ(map_.get(HeaderId::Via), "3");
  EXPECT_EQ(text(), "via=3 ");
}

TEST_F(HeaderMapTest, AppendJoinsToTheFirst) {
  map_.append(HeaderId::XForwardedFor, "1.1.1.1");
  map_.append(HeaderId::XForwardedFor, "2.2.2.2");
  EXPECT_EQ(map_.get(HeaderId::XForwardedFor), "1.1.1.1,2.2.2.2");
  map_.append(HeaderId::Via, "a");
  map_.append(HeaderId::Via, "b", ", ");
  EXPECT_EQ(map_.get(HeaderId::Via), "a, b");
  map_.add(HeaderId::Vary, "");
  map_.append(HeaderId::Vary, "x");
  EXPECT_EQ(map_.get(HeaderId::Vary), "x");
}

TEST_F(HeaderMapTest, JoinsValuesOfOneName) {
  EXPECT_EQ(map_.joined("x"), std::nullopt);
  map_.add("x", "1");
  EXPECT_EQ(map_.joined("x"), "1");
  map_.add("y", "other");
  map_.add("x", "");
  map_.add("x", "3");
  EXPECT_EQ(map_.joined("x"), "1,,3");
  map_.add("accept", "a");
  map_.add("accept", "b");
  EXPECT_EQ(map_.joined("accept"), "a,b");
  map_.add("z", "");
  map_.add("z", "a");
  EXPECT_EQ(map_.joined("z"), ",a");
}

TEST_F(HeaderMapTest, GrowsAndCounts) {
  for (int i = 0; i < 1000; ++i) map_.add(arena_.copy("name-" + std::to_string(i)), "v");
  EXPECT_EQ(map_.live_count(), 1000u);
  EXPECT_EQ(map_.find("name-999")->value, "v");
  EXPECT_EQ(map_.entries().size(), 1000u);
  map_.clear();
  EXPECT_EQ(map_.live_count(), 0u);
  EXPECT_EQ(map_.byte_size(), 0u);
  map_.add("ab", "cde");
  EXPECT_EQ(map_.byte_size(), 5u);
}

TEST_F(HeaderMapTest, ReadsAndWritesTheStatus) {
  EXPECT_EQ(map_.status(), 0);
  map_.set_status(404);
  EXPECT_EQ(map_.status(), 404);
  map_.set_status(200);
  EXPECT_EQ(text(), ":status=200 ");
  for (const char* bad : {"", "20", "2000", "2x0", "099"}) {
    map_.set(HeaderId::Status, bad);
    EXPECT_EQ(map_.status(), 0) << bad;
  }
}

}  // namespace
}  // namespace remora::http
