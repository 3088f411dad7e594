#include "proxy/stats/response_codes.h"

#include <gtest/gtest.h>

#include <map>

namespace remora::stats {
namespace {

TEST(ResponseCodes, EachCodeIsCountedByItself) {
  ResponseCodes codes;
  for (int i = 0; i < 3; ++i) codes.count(200);
  codes.count(503);
  std::map<int, uint64_t> seen;
  codes.for_each([&](uint16_t code, uint64_t count) { seen[code] = count; });
  EXPECT_EQ(seen, (std::map<int, uint64_t>{{200, 3}, {503, 1}}));
}

TEST(ResponseCodes, ThereMayBeManyCodes) {
  ResponseCodes codes;
  for (int round = 0; round < 2; ++round) {
    for (uint16_t code = 100; code < 600; ++code) codes.count(code);
  }
  size_t seen = 0;
  codes.for_each([&](uint16_t code, uint64_t count) {
    EXPECT_EQ(count, 2u) << code;
    ++seen;
  });
  EXPECT_EQ(seen, 500u);
}

}  // namespace
}  // namespace remora::stats
