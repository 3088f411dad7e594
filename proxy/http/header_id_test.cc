// Well-known names and their ids.
#include "proxy/http/header_id.h"

#include <gtest/gtest.h>

#include <string>

namespace remora::http {
namespace {

TEST(HeaderId, EveryNameFindsItsId) {
  for (size_t i = 1; i < kHeaderIds; ++i) {
    const auto id = static_cast<HeaderId>(i);
    EXPECT_EQ(header_id_of(header_name(id)), id) << header_name(id);
  }
}

TEST(HeaderId, ANameThatIsNotInTheTableIsOther) {
  for (const char* name : {"", "x", "hosts", "hos", "Host", "x-forwarded-fo", "x-forwarded-fof",
                           "content-lengthh", "x-envoy-upstream-rq-timeout-mz"}) {
    EXPECT_EQ(header_id_of(name), HeaderId::Other) << name;
  }
  EXPECT_EQ(header_id_of(std::string(300, 'x')), HeaderId::Other);
}

TEST(HeaderId, ANameWithOneByteChangedIsOther) {
  for (size_t i = 1; i < kHeaderIds; ++i) {
    const std::string name(header_name(static_cast<HeaderId>(i)));
    for (size_t at = 0; at < name.size(); ++at) {
      std::string changed = name;
      changed[at] = '#';
      EXPECT_EQ(header_id_of(changed), HeaderId::Other) << changed;
    }
  }
}

TEST(HeaderId, PseudoHeadersAreKnown) {
  EXPECT_TRUE(is_pseudo(HeaderId::Method));
  EXPECT_TRUE(is_pseudo(HeaderId::Protocol));
  EXPECT_FALSE(is_pseudo(HeaderId::Host));
  EXPECT_FALSE(is_pseudo(HeaderId::Other));
}

}  // namespace
}  // namespace remora::http
