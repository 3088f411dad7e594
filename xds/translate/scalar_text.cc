#include "xds/translate/scalar_text.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace remora::xds::translate {
namespace {

constexpr int64_t kMaxDurationSeconds = 315'576'000'000;
constexpr size_t kNanoDigits = 9;

absl::string_view view(std::string_view text) { return {text.data(), text.size()}; }

bool is_digit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }

template <class T>
bool take_whole(std::string_view text, T* out) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && stop == text.data() + text.size();
}

// Decimal alone: no hexadecimal, no names, no blanks.
std::optional<double> decimal(std::string_view text) {
  const bool plain = std::ranges::all_of(text, [](char c) {
    return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
  });
  double number = 0;
  if (!plain || !absl::SimpleAtod(view(text), &number) || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

std::string without_padding(std::string text) {
  while (text.ends_with('=')) text.pop_back();
  return text;
}

}  // namespace

template <class T>
std::optional<T> to_whole(std::string_view text) {
  T exact = 0;
  const bool plus = text.size() > 1 && text[0] == '+' && is_digit(text[1]);
  if (take_whole(text.substr(plus ? 1 : 0), &exact)) return exact;
  if (text.empty() || !is_digit(text.back())) return std::nullopt;
  const std::optional<double> number = decimal(text);
  constexpr auto kMin = static_cast<double>(std::numeric_limits<T>::min());
  constexpr double kAbove = 2 * static_cast<double>(std::numeric_limits<T>::max() / 2 + 1);
  if (!number || *number < kMin || *number >= kAbove || *number != std::trunc(*number)) {
    return std::nullopt;
  }
  return static_cast<T>(*number);
}

template std::optional<int32_t> to_whole(std::string_view);
template std::optional<uint32_t> to_whole(std::string_view);
template std::optional<int64_t> to_whole(std::string_view);
template std::optional<uint64_t> to_whole(std::string_view);

std::optional<double> to_double(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  return decimal(text);
}

std::optional<float> to_float(std::string_view text) {
  const std::optional<double> number = to_double(text);
  if (!number) return std::nullopt;
  if (std::isfinite(*number) && std::abs(*number) > std::numeric_limits<float>::max()) {
    return std::nullopt;
  }
  return static_cast<float>(*number);
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string bytes;
  std::string again;  // bits that no byte has would be lost
  if (absl::WebSafeBase64Unescape(view(text), &bytes)) {
    again = absl::WebSafeBase64Escape(bytes);
  } else if (absl::Base64Unescape(view(text), &bytes)) {
    again = without_padding(absl::Base64Escape(bytes));
  } else {
    return std::nullopt;
  }
  if (without_padding(std::string(text)) != again) return std::nullopt;
  return bytes;
}

bool to_duration(std::string_view text, google::protobuf::Duration* out) {
  if (!text.ends_with('s')) return false;
  text.remove_suffix(1);
  const int sign = text.starts_with('-') ? -1 : 1;
  if (sign < 0) text.remove_prefix(1);
  const size_t dot = std::min(text.find('.'), text.size());
  int64_t seconds = 0;
  if (dot == 0 || !is_digit(text[0]) || !take_whole(text.substr(0, dot), &seconds)) return false;
  int32_t nanos = 0;
  if (dot != text.size()) {
    const std::string_view fraction = text.substr(dot + 1);
    if (fraction.empty() || fraction.size() > kNanoDigits || !is_digit(fraction[0])) return false;
    if (!take_whole(fraction, &nanos)) return false;
    for (size_t i = fraction.size(); i < kNanoDigits; ++i) nanos *= 10;
  }
  if (seconds > kMaxDurationSeconds) return false;
  out->set_seconds(sign * seconds);
  out->set_nanos(sign * nanos);
  return true;
}

}  // namespace remora::xds::translate
