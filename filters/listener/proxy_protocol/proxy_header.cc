// See the header. Stricter than Envoy where a number or an address could be read in two ways.
#include "filters/listener/proxy_protocol/proxy_header.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace remora::filters {
namespace {

using Result = ProxyHeader::Result;

constexpr std::string_view kSignatureV1 = "PROXY ";
constexpr std::string_view kSignatureV2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kMaxLineBytes = 108;  // with its end
constexpr size_t kFixedBytesV2 = 16;

/// Whether `bytes` may still become, or begin with, `signature`.
bool may_be(std::string_view bytes, std::string_view signature) {
  const size_t common = std::min(bytes.size(), signature.size());
  return bytes.substr(0, common) == signature.substr(0, common);
}

ProxyHeader need(size_t bytes) {
  ProxyHeader header;
  header.wanted = bytes;
  return header;
}

ProxyHeader refused(Result why, ProxyVersion version) {
  ProxyHeader header;
  header.result = why;
  header.version = version;
  return header;
}

/// What can be one end of a TCP connection.
bool is_unicast(const Address& address) {
  const std::string_view ip = address.ip_bytes();
  if (address.is_any()) return false;
  const auto first = static_cast<uint8_t>(ip[0]);
  if (address.family() == Address::Family::V6) return first != 0xff;
  return (first & 0xf0) != 0xe0 && ip != std::string_view("\xff\xff\xff\xff");
}

bool has_two_ends(const ProxyHeader& header) {
  return is_unicast(header.source) && is_unicast(header.destination);
}

// --- version 1 ---

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || at != end || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  return port;
}

std::optional<Address> parse_address(std::string_view ip, std::string_view port,
                                     Address::Family family) {
  const auto number = parse_port(port);
  if (!number || ip.find('\0') != std::string_view::npos) return std::nullopt;
  auto address = Address::from_ip(ip, *number);
  if (!address.ok() || address->family() != family) return std::nullopt;
  return *std::move(address);
}

/// Words between single spaces; no more than `words` has room for.
template <size_t Count>
size_t split(std::string_view line, std::array<std::string_view, Count>& words) {
  size_t count = 0;
  for (;;) {
    const size_t space = line.find(' ');
    if (count == Count) return Count + 1;
    words[count++] = line.substr(0, space);
    if (space == std::string_view::npos) return count;
    line.remove_prefix(space + 1);
  }
}

/// `line`: behind "PROXY ", without its end.
bool parse_line(std::string_view line, ProxyHeader& header) {
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) {
    header.own_addresses = true;
    return true;
  }
  std::array<std::string_view, 5> words;
  if (split(line, words) != words.size()) return false;
  if (words[0] != "TCP4" && words[0] != "TCP6") return false;
  const auto family = words[0] == "TCP4" ? Address::Family::V4 : Address::Family::V6;
  const auto source = parse_address(words[1], words[3], family);
  const auto destination = parse_address(words[2], words[4], family);
  if (!source || !destination) return false;
  header.source = *source;
  header.destination = *destination;
  return has_two_ends(header);
}

ProxyHeader read_v1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kMaxLineBytes).find("\r\n");
  if (end == std::string_view::npos) {
    return bytes.size() < kMaxLineBytes ? need(1) : refused(Result::Malformed, ProxyVersion::V1);
  }
  ProxyHeader header = refused(Result::Found, ProxyVersion::V1);
  header.length = end + 2;
  const std::string_view line = bytes.substr(kSignatureV1.size(), end - kSignatureV1.size());
  if (!parse_line(line, header)) header.result = Result::Malformed;
  return header;
}

// --- version 2 ---

size_t number16(std::string_view bytes) {
  return static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 8 | static_cast<uint8_t>(bytes[1]);
}

template <class SockAddr>
Address address_of(SockAddr& sockaddr_in_any) {
  return Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&sockaddr_in_any),
                                sizeof(sockaddr_in_any));
}

Address read_ipv4(std::string_view ip, std::string_view port) {
  sockaddr_in in = {};
  in.sin_family = AF_INET;
  std::memcpy(&in.sin_addr, ip.data(), sizeof(in.sin_addr));
  std::memcpy(&in.sin_port, port.data(), sizeof(in.sin_port));
  return address_of(in);
}

Address read_ipv6(std::string_view ip, std::string_view port) {
  sockaddr_in6 in = {};
  in.sin6_family = AF_INET6;
  std::memcpy(&in.sin6_addr, ip.data(), sizeof(in.sin6_addr));
  std::memcpy(&in.sin6_port, port.data(), sizeof(in.sin6_port));
  return address_of(in);
}

/// Bytes of both addresses and ports; 0: a family or transport that is not TCP or UDP over IP.
size_t address_bytes(uint8_t family_and_transport) {
  switch (family_and_transport) {
    case 0x11:
    case 0x12:
      return 2 * (4 + 2);
    case 0x21:
    case 0x22:
      return 2 * (16 + 2);
    default:
      return 0;
  }
}

void read_addresses(std::string_view content, size_t address_length, ProxyHeader& header) {
  const size_t ip = address_length / 2 - 2;
  const auto read = ip == 4 ? read_ipv4 : read_ipv6;
  header.source = read(content.substr(0, ip), content.substr(2 * ip, 2));
  header.destination = read(content.substr(ip, ip), content.substr(2 * ip + 2, 2));
}

bool extensions_are_sound(std::string_view extensions) {
  while (!extensions.empty()) {
    if (!take_proxy_extension(extensions)) return false;
  }
  return true;
}

ProxyHeader read_v2(std::string_view bytes) {
  const ProxyHeader malformed = refused(Result::Malformed, ProxyVersion::V2);
  if (bytes.size() < kFixedBytesV2) return need(kFixedBytesV2);
  const auto version_and_command = static_cast<uint8_t>(bytes[12]);
  const bool local = version_and_command == 0x20;
  if (!local && version_and_command != 0x21) return malformed;
  const size_t length = number16(bytes.substr(14));
  const size_t addresses = local ? 0 : address_bytes(static_cast<uint8_t>(bytes[13]));
  if (!local && (addresses == 0 || length < addresses)) return malformed;
  ProxyHeader header = refused(Result::Found, ProxyVersion::V2);
  header.length = kFixedBytesV2 + length;
  if (bytes.size() < header.length) return need(header.length);
  header.own_addresses = local;
  if (local) return header;
  const std::string_view content = bytes.substr(kFixedBytesV2, length);
  read_addresses(content, addresses, header);
  header.extensions = content.substr(addresses);
  const bool sound = has_two_ends(header) && extensions_are_sound(header.extensions);
  return sound ? header : malformed;
}

}  // namespace

std::optional<ProxyExtension> take_proxy_extension(std::string_view& extensions) {
  constexpr size_t kHead = 3;
  if (extensions.size() < kHead) return std::nullopt;
  const size_t length = number16(extensions.substr(1));
  if (extensions.size() - kHead < length) return std::nullopt;
  const ProxyExtension out{static_cast<uint8_t>(extensions[0]), extensions.substr(kHead, length)};
  extensions.remove_prefix(kHead + length);
  return out;
}

ProxyHeader read_proxy_header(std::string_view bytes, const ProxyHeaderRules& rules) {
  if (bytes.empty()) return need(1);
  // Where connections without a header are let in, one of a version that is not is no header.
  const bool v1 = may_be(bytes, kSignatureV1) && (rules.v1_allowed || rules.required);
  const bool v2 = may_be(bytes, kSignatureV2) && (rules.v2_allowed || rules.required);
  if (v1) {
    if (bytes.size() < kSignatureV1.size()) return need(1);
    return rules.v1_allowed ? read_v1(bytes) : refused(Result::Disallowed, ProxyVersion::V1);
  }
  if (v2) {
    if (bytes.size() < kSignatureV2.size()) return need(1);
    return rules.v2_allowed ? read_v2(bytes) : refused(Result::Disallowed, ProxyVersion::V2);
  }
  ProxyHeader none;
  none.result = Result::NotFound;
  return none;
}

}  // namespace remora::filters
