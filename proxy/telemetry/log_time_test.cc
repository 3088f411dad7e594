#include "proxy/telemetry/log_time.h"

#include <gtest/gtest.h>

#include <ctime>

namespace remora::telemetry {
namespace {

constexpr WallNs kSecond = 1'000'000'000;
// 2016-04-15 20:17:00.310042007 UTC, a Friday, the 106th day of the year.
constexpr WallNs kTime = 1460751420 * kSecond + 310042007;

std::string format(WallNs time, std::string_view format) {
  std::string out;
  append_time(time, format, Zone::Utc, out);
  return out;
}

TEST(LogTime, TheDefaultIsIso8601WithMilliseconds) {
  EXPECT_EQ(format(kTime, kDefaultTimeFormat), "2016-04-15T20:17:00.310Z");
}

TEST(LogTime, DirectivesOfStrftime) {
  EXPECT_EQ(format(kTime, "%Y/%m/%d %H:%M:%S %j %a %b %z %F %T"),
            "2016/04/15 20:17:00 106 Fri Apr +0000 2016-04-15 20:17:00");
}

TEST(LogTime, FractionsAndSecondsSinceTheEpoch) {
  EXPECT_EQ(format(kTime, "%s.%3f"), "1460751420.310");
  EXPECT_EQ(format(kTime, "%f %6f %1f %9f"), "310042007 310042 3 310042007");
  EXPECT_EQ(format(kTime, "%E6S %Ez"), "00.310042 +00:00");
}

TEST(LogTime, OtherTextStays) {
  EXPECT_EQ(format(kTime, "at %H o'clock, 100%"), "at 20 o'clock, 100");
  EXPECT_EQ(format(kTime, ""), "");
}

TEST(LogTime, CalendarAgreesWithTheLibrary) {
  // Every 11 days and 7 hours over four centuries, leap years and centuries included.
  for (int64_t seconds = -2208988800; seconds < 10413792000; seconds += 11 * 86400 + 25200) {
    std::time_t clock = seconds;
    std::tm expected;
    gmtime_r(&clock, &expected);
    char text[64];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %j %u", &expected);
    ASSERT_EQ(format(seconds * kSecond / 1, "%Y-%m-%d %H:%M:%S %j %u"), text) << seconds;
    if (seconds > 9000000000) break;  // nanoseconds of later times do not fit
  }
}

}  // namespace
}  // namespace remora::telemetry
