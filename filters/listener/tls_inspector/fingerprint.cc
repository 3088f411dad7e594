#include "filters/listener/tls_inspector/fingerprint.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "proxy/tls/digest.h"

namespace remora::filters {
namespace {

constexpr size_t kHashChars = 12;
constexpr size_t kMaxCount = 99;  // two digits

std::vector<uint16_t> numbers_of(std::string_view list) {
  std::vector<uint16_t> out;
  Bytes rest(list);
  while (const auto number = rest.u16()) out.push_back(*number);
  return out;
}

void drop_grease(std::vector<uint16_t>& numbers) { std::erase_if(numbers, is_grease); }

std::vector<uint16_t> cipher_suites_of(const ClientHello& hello) {
  auto out = numbers_of(hello.cipher_suites);
  drop_grease(out);
  return out;
}

std::vector<uint16_t> extension_types_of(const ClientHello& hello) {
  std::vector<uint16_t> out;
  Bytes rest(hello.extensions);
  while (const auto extension = take_extension(rest)) out.push_back(extension->type);
  drop_grease(out);
  return out;
}

/// The list in an extension that is one list of two-byte numbers.
std::vector<uint16_t> numbers_in(const ClientHello& hello, uint16_t type) {
  Bytes content(hello.extension(type).value_or(std::string_view()));
  content.u16();  // the list's length
  return numbers_of(content.rest());
}

// --- JA3 ---

template <class Number>
void append_decimal(const std::vector<Number>& numbers, std::string& out) {
  for (size_t i = 0; i < numbers.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? "" : "-", static_cast<uint32_t>(numbers[i]));
  }
}

std::vector<uint8_t> point_formats_of(const ClientHello& hello) {
  std::vector<uint8_t> out;
  Bytes content(hello.extension(tls_extension::kEcPointFormats).value_or(std::string_view()));
  content.u8();  // the list's length
  while (const auto format = content.u8()) out.push_back(*format);
  return out;
}

// --- JA4 ---

/// The newest version offered.
std::string_view ja4_version(const ClientHello& hello) {
  uint16_t newest = 0;
  if (const auto offered = hello.extension(tls_extension::kSupportedVersions)) {
    const auto list = Bytes(*offered).vector8();
    if (!list) return "00";
    Bytes versions(*list);
    while (const auto version = versions.u16()) {
      if (!is_grease(*version)) newest = std::max(newest, *version);
    }
  }
  switch (newest != 0 ? newest : hello.version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    default:
      return "00";
  }
}

void append_count(size_t count, std::string& out) {
  count = std::min(count, kMaxCount);
  out.push_back(static_cast<char>('0' + count / 10));
  out.push_back(static_cast<char>('0' + count % 10));
}

/// First and last character of the protocol that is liked best.
std::string ja4_protocol(const ClientHello& hello) {
  Bytes content(hello.extension(tls_extension::kApplicationProtocols).value_or(std::string_view()));
  content.u16();  // the list's length
  const auto first_name = content.vector8();
  if (!first_name || first_name->empty()) return "00";
  const auto first = static_cast<unsigned char>(first_name->front());
  const auto last = static_cast<unsigned char>(first_name->back());
  if (absl::ascii_isalnum(first) && absl::ascii_isalnum(last)) {
    return {static_cast<char>(first), static_cast<char>(last)};
  }
  return absl::StrCat(absl::Hex(first, absl::kZeroPad2), absl::Hex(last, absl::kZeroPad2));
}

void append_hex(const std::vector<uint16_t>& numbers, std::string& out) {
  for (size_t i = 0; i < numbers.size(); ++i) {
    absl::StrAppend(&out, i == 0 ? "" : ",", absl::Hex(numbers[i], absl::kZeroPad4));
  }
}

std::string short_hash(std::string_view text) {
  return tls::sha256_hex(text).substr(0, kHashChars);
}

std::string ja4_cipher_hash(std::vector<uint16_t> cipher_suites) {
  if (cipher_suites.empty()) return std::string(kHashChars, '0');
  std::ranges::sort(cipher_suites);
  std::string text;
  append_hex(cipher_suites, text);
  return short_hash(text);
}

std::string ja4_extension_hash(const ClientHello& hello, std::vector<uint16_t> types) {
  std::erase_if(types, [](uint16_t type) {
    return type == tls_extension::kServerName || type == tls_extension::kApplicationProtocols;
  });
  if (types.empty()) return std::string(kHashChars, '0');
  std::ranges::sort(types);
  std::string text;
  append_hex(types, text);
  const auto algorithms = numbers_in(hello, tls_extension::kSignatureAlgorithms);
  if (!algorithms.empty()) text.push_back('_');
  append_hex(algorithms, text);
  return short_hash(text);
}

}  // namespace

std::string ja3_text(const ClientHello& hello) {
  std::string out = absl::StrCat(hello.version, ",");
  append_decimal(cipher_suites_of(hello), out);
  out.push_back(',');
  append_decimal(extension_types_of(hello), out);
  out.push_back(',');
  append_decimal(numbers_in(hello, tls_extension::kSupportedGroups), out);
  out.push_back(',');
  append_decimal(point_formats_of(hello), out);
  return out;
}

std::string ja3(const ClientHello& hello) { return tls::md5_hex(ja3_text(hello)); }

std::string ja4(const ClientHello& hello) {
  const auto cipher_suites = cipher_suites_of(hello);
  const auto types = extension_types_of(hello);
  const bool names_server = hello.extension(tls_extension::kServerName).has_value();
  std::string out =
      absl::StrCat("t", absl::string_view(ja4_version(hello).data(), 2), names_server ? "d" : "i");
  append_count(cipher_suites.size(), out);
  append_count(types.size(), out);
  absl::StrAppend(&out, ja4_protocol(hello), "_", ja4_cipher_hash(cipher_suites), "_",
                  ja4_extension_hash(hello, types));
  return out;
}

}  // namespace remora::filters
