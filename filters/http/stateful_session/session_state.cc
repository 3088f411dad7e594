#include "filters/http/stateful_session/session_state.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "proxy/base/base64.h"
#include "proxy/http/cookies.h"

namespace remora::stateful_session {
namespace {

// The fields of the message in Envoy's cookie: an address, and when it expires (seconds).
constexpr uint8_t kAddressTag = 1 << 3 | 2;
constexpr uint8_t kExpiresTag = 2 << 3;
constexpr unsigned kMaxVarintBits = 64;

struct Session {
  std::string_view address;
  uint64_t expires_s = 0;  // 0: never
};

/// In the standard alphabet with padding.
std::optional<std::string> decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string url_safe(text);
  for (int i = 0; i < 2 && url_safe.ends_with('='); ++i) url_safe.pop_back();
  if (url_safe.find_first_of("-_") != std::string::npos) return std::nullopt;
  std::ranges::replace(url_safe, '+', '-');
  std::ranges::replace(url_safe, '/', '_');
  return decode_base64url(url_safe);
}

std::optional<uint64_t> take_varint(std::string_view* bytes) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < kMaxVarintBits && !bytes->empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes->front());
    bytes->remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<Session> parse(std::string_view bytes) {
  Session out;
  while (!bytes.empty()) {
    const auto tag = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    const auto number = take_varint(&bytes);
    if (!number) return std::nullopt;
    if (tag == kExpiresTag) {
      out.expires_s = *number;
    } else if (tag == kAddressTag && *number <= bytes.size()) {
      out.address = bytes.substr(0, *number);
      bytes.remove_prefix(*number);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

void append_varint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) *out += static_cast<char>(value | 0x80);
  *out += static_cast<char>(value);
}

std::string cookie_host(const SessionConfig& config, const http::HeaderMap& request,
                        uint64_t now_s) {
  const auto bytes = decode(http::cookie_value(request, config.name));
  if (!bytes) return {};
  const auto session = parse(*bytes);
  if (!session) return *bytes;  // as old versions wrote it: the address alone
  if (session->expires_s != 0 && session->expires_s < now_s) return {};
  return std::string(session->address);
}

}  // namespace

bool applies(const SessionConfig& config, std::string_view path) {
  if (config.carrier != SessionConfig::Carrier::Cookie) {
    return config.carrier == SessionConfig::Carrier::Header;
  }
  if (config.path.empty() || config.path == "/") return true;
  if (!path.starts_with(config.path)) return false;
  if (config.path.ends_with('/') || path.size() == config.path.size()) return true;
  return std::string_view("/?#").find(path[config.path.size()]) != std::string_view::npos;
}

std::string session_host(const SessionConfig& config, const http::HeaderMap& request,
                         uint64_t now_s) {
  if (config.carrier == SessionConfig::Carrier::Cookie) return cookie_host(config, request, now_s);
  const http::HeaderEntry* header = request.find(config.name);
  if (header == nullptr) return {};
  return decode(header->value).value_or(std::string());
}

std::string session_value(const SessionConfig& config, std::string_view host, uint64_t now_s) {
  if (config.carrier == SessionConfig::Carrier::Header) return encode_base64(host);
  std::string message;
  message += static_cast<char>(kAddressTag);
  append_varint(host.size(), &message);
  message += host;
  if (config.ttl_s != 0) {
    message += static_cast<char>(kExpiresTag);
    append_varint(now_s + config.ttl_s, &message);
  }
  std::string out = absl::StrCat(config.name, "=\"", encode_base64(message), "\"");
  if (config.ttl_s != 0) absl::StrAppend(&out, "; Max-Age=", config.ttl_s);
  if (!config.path.empty()) absl::StrAppend(&out, "; Path=", config.path);
  absl::StrAppend(&out, "; HttpOnly");
  return out;
}

}  // namespace remora::stateful_session
