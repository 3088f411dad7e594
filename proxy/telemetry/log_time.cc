#include "proxy/telemetry/log_time.h"

#include <charconv>
#include <ctime>

namespace remora::telemetry {

namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kSecondsPerDay = 86'400;
constexpr int kMaxFractionDigits = 9;

bool is_digit(char c) { return c >= '1' && c <= '9'; }

/// gmtime_r without glibc's lock: days since 1970 to a date of the Gregorian calendar.
std::tm utc(int64_t seconds) {
  int64_t days = seconds / kSecondsPerDay;
  int64_t rest = seconds % kSecondsPerDay;
  if (rest < 0) {
    rest += kSecondsPerDay;
    --days;
  }
  std::tm out{};
  out.tm_hour = static_cast<int>(rest / 3600);
  out.tm_min = static_cast<int>(rest / 60 % 60);
  out.tm_sec = static_cast<int>(rest % 60);
  out.tm_wday = static_cast<int>(((days + 4) % 7 + 7) % 7);  // 1970-01-01 was a Thursday

  // Years that begin in March, in eras of 400 years, so that the leap day comes last.
  const int64_t shifted = days + 719'468;
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
  const int64_t day_of_era = shifted - era * 146'097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month = (5 * day_of_year + 2) / 153;  // 0 is March
  out.tm_mday = static_cast<int>(day_of_year - (153 * month + 2) / 5 + 1);
  out.tm_mon = static_cast<int>(month < 10 ? month + 2 : month - 10);
  const int64_t year = year_of_era + era * 400 + (out.tm_mon <= 1 ? 1 : 0);
  out.tm_year = static_cast<int>(year - 1900);
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  // Days before March 1st come last in `day_of_year`.
  out.tm_yday = static_cast<int>(out.tm_mon <= 1 ? day_of_year - 306 : day_of_year + 59 + leap);
  out.tm_zone = "UTC";
  return out;
}

void append_padded(int64_t value, int width, std::string& out) {
  char digits[20];
  char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  for (int i = static_cast<int>(end - digits); i < width; ++i) out += '0';
  out.append(digits, end);
}

/// The first `digits` of the nanoseconds.
void append_fraction(int64_t ns, int digits, std::string& out) {
  for (int i = digits; i < kMaxFractionDigits; ++i) ns /= 10;
  append_padded(ns, digits, out);
}

void append_zone(const std::tm& time, std::string& out) {
  int64_t minutes = time.tm_gmtoff / 60;
  out += minutes < 0 ? '-' : '+';
  if (minutes < 0) minutes = -minutes;
  append_padded(minutes / 60, 2, out);
  out += ':';
  append_padded(minutes % 60, 2, out);
}

void append_strftime(const std::tm& time, char directive, std::string& out) {
  const char format[] = {'%', directive, '\0'};
  char text[128];
  out.append(text, std::strftime(text, sizeof text, format, &time));
}

/// The directive at the start of `rest` (behind its '%'); answers how long it is.
size_t append_directive(const std::tm& time, int64_t seconds, int64_t ns, std::string_view rest,
                        std::string& out) {
  char c = rest[0];
  if (c == 'E' && rest.size() >= 3 && is_digit(rest[1]) && (rest[2] == 'S' || rest[2] == 'f')) {
    if (rest[2] == 'S') {
      append_padded(time.tm_sec, 2, out);
      out += '.';
    }
    append_fraction(ns, rest[1] - '0', out);
    return 3;
  }
  if (c == 'E' && rest.size() >= 2 && rest[1] == 'z') {
    append_zone(time, out);
    return 2;
  }
  if (is_digit(c) && rest.size() >= 2 && rest[1] == 'f') {
    append_fraction(ns, c - '0', out);
    return 2;
  }
  switch (c) {
    case 'f':
      append_fraction(ns, kMaxFractionDigits, out);
      break;
    case 's':
      append_padded(seconds, 1, out);
      break;
    case 'Y':
      append_padded(time.tm_year + 1900, 1, out);
      break;
    case 'm':
      append_padded(time.tm_mon + 1, 2, out);
      break;
    case 'd':
      append_padded(time.tm_mday, 2, out);
      break;
    case 'H':
      append_padded(time.tm_hour, 2, out);
      break;
    case 'M':
      append_padded(time.tm_min, 2, out);
      break;
    case 'S':
      append_padded(time.tm_sec, 2, out);
      break;
    default:
      append_strftime(time, c, out);
  }
  return 1;
}

}  // namespace

void append_time(WallNs time, std::string_view format, Zone zone, std::string& out) {
  int64_t seconds = time / kNsPerSecond;
  int64_t ns = time % kNsPerSecond;
  if (ns < 0) {
    ns += kNsPerSecond;
    --seconds;
  }
  std::tm broken_down;
  if (zone == Zone::Utc) {
    broken_down = utc(seconds);
  } else {
    std::time_t clock = seconds;
    localtime_r(&clock, &broken_down);
  }
  while (!format.empty()) {
    size_t percent = format.find('%');
    out.append(format.substr(0, percent));
    if (percent == std::string_view::npos || percent + 1 == format.size()) return;
    format.remove_prefix(percent + 1);
    format.remove_prefix(append_directive(broken_down, seconds, ns, format, out));
  }
}

}  // namespace remora::telemetry
