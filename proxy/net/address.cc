// Parsing, spelling and comparing addresses. Values; any thread.
#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <xxhash.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace remora {
namespace {

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const uint8_t* ip) {
  return std::memcmp(ip, kMappedPrefix, sizeof(kMappedPrefix)) == 0;
}

/// True when the first `bits` bits of both are the same.
bool same_prefix(std::string_view a, std::string_view b, unsigned bits) {
  const size_t whole = bits / 8;
  if (a.substr(0, whole) != b.substr(0, whole)) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const uint8_t mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (static_cast<uint8_t>(a[whole]) & mask) == (static_cast<uint8_t>(b[whole]) & mask);
}

}  // namespace

absl::StatusOr<Address> Address::from_ip(std::string_view ip, uint16_t port) {
  const std::string text(ip);
  Address address;
  address.port_ = port;
  if (inet_pton(AF_INET, text.c_str(), address.ip_) == 1) {
    address.family_ = Family::V4;
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.ip_) == 1) {
    address.family_ = Family::V6;
    return address;
  }
  return absl::InvalidArgumentError("malformed IP address: " + text);
}

absl::StatusOr<Address> Address::from_unix_path(std::string_view path) {
  if (path.empty()) return absl::InvalidArgumentError("empty path of a Unix domain socket");
  if (path.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("path of a Unix domain socket contains a NUL");
  }
  // A file's path ends in a NUL; an abstract name's '@' stands for its leading one.
  const size_t limit = sizeof(sockaddr_un::sun_path) - (path[0] == '@' ? 0 : 1);
  if (path.size() > limit) {
    return absl::InvalidArgumentError("Path \"" + std::string(path) +
                                      "\" exceeds maximum UNIX domain socket path size of " +
                                      std::to_string(limit) + ".");
  }
  Address address;
  address.family_ = Family::Unix;
  address.path_ = path;
  return address;
}

Address Address::from_sockaddr(const sockaddr* sa, socklen_t length) {
  Address address;
  if (length < sizeof(sa->sa_family)) return address;
  switch (sa->sa_family) {
    case AF_INET: {
      const auto* in = reinterpret_cast<const sockaddr_in*>(sa);
      address.family_ = Family::V4;
      address.port_ = ntohs(in->sin_port);
      std::memcpy(address.ip_, &in->sin_addr, 4);
      break;
    }
    case AF_INET6: {
      const auto* in = reinterpret_cast<const sockaddr_in6*>(sa);
      address.family_ = Family::V6;
      address.port_ = ntohs(in->sin6_port);
      std::memcpy(address.ip_, &in->sin6_addr, 16);
      break;
    }
    case AF_UNIX: {
      const auto* un = reinterpret_cast<const sockaddr_un*>(sa);
      address.family_ = Family::Unix;
      const size_t bytes = length - offsetof(sockaddr_un, sun_path);
      if (bytes == 0) break;  // unnamed, as most clients are
      if (un->sun_path[0] == '\0') {
        address.path_.assign(un->sun_path, bytes);
        address.path_[0] = '@';
      } else {
        address.path_.assign(un->sun_path, strnlen(un->sun_path, bytes));
      }
      break;
    }
    default:
      break;
  }
  return address;
}

socklen_t Address::to_sockaddr(sockaddr_storage* out) const {
  std::memset(out, 0, sizeof(*out));
  switch (family_) {
    case Family::V4: {
      auto* in = reinterpret_cast<sockaddr_in*>(out);
      in->sin_family = AF_INET;
      in->sin_port = htons(port_);
      std::memcpy(&in->sin_addr, ip_, 4);
      return sizeof(*in);
    }
    case Family::V6: {
      auto* in = reinterpret_cast<sockaddr_in6*>(out);
      in->sin6_family = AF_INET6;
      in->sin6_port = htons(port_);
      std::memcpy(&in->sin6_addr, ip_, 16);
      return sizeof(*in);
    }
    case Family::Unix: {
      auto* un = reinterpret_cast<sockaddr_un*>(out);
      un->sun_family = AF_UNIX;
      std::memcpy(un->sun_path, path_.data(), path_.size());
      const bool abstract = !path_.empty() && path_[0] == '@';
      if (abstract) un->sun_path[0] = '\0';
      const size_t terminator = abstract || path_.empty() ? 0 : 1;
      return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size() + terminator);
    }
    case Family::None:
      break;
  }
  return 0;
}

Address Address::with_port(uint16_t port) const {
  Address address = *this;
  address.port_ = port;
  return address;
}

std::string_view Address::ip_bytes() const {
  const size_t size = family_ == Family::V4 ? 4 : family_ == Family::V6 ? 16 : 0;
  return {reinterpret_cast<const char*>(ip_), size};
}

bool Address::is_any() const {
  const std::string_view ip = ip_bytes();
  return !ip.empty() && ip.find_first_not_of('\0') == std::string_view::npos;
}

bool Address::is_loopback() const {
  switch (family_) {
    case Family::V4:
      return ip_[0] == 127;
    case Family::V6:
      if (is_mapped(ip_)) return ip_[12] == 127;
      return std::all_of(ip_, ip_ + 15, [](uint8_t byte) { return byte == 0; }) && ip_[15] == 1;
    case Family::Unix:
      return true;
    case Family::None:
      break;
  }
  return false;
}

bool Address::is_private() const {
  if (family_ == Family::V4) {
    return ip_[0] == 10 || (ip_[0] == 172 && (ip_[1] & 0xf0) == 16) ||
           (ip_[0] == 192 && ip_[1] == 168) || ip_[0] == 127;
  }
  if (family_ != Family::V6) return false;
  if (is_mapped(ip_)) return unmapped().is_private();
  return (ip_[0] & 0xfe) == 0xfc || is_loopback();
}

Address Address::unmapped() const {
  if (family_ != Family::V6 || !is_mapped(ip_)) return *this;
  Address address;
  address.family_ = Family::V4;
  address.port_ = port_;
  std::memcpy(address.ip_, ip_ + sizeof(kMappedPrefix), 4);
  return address;
}

std::string Address::ip_string() const {
  if (family_ == Family::Unix) return path_;
  if (family_ == Family::None) return {};
  char text[INET6_ADDRSTRLEN];
  inet_ntop(family_ == Family::V4 ? AF_INET : AF_INET6, ip_, text, sizeof(text));
  return text;
}

std::string Address::to_string() const {
  switch (family_) {
    case Family::V4:
      return absl::StrCat(ip_string(), ":", port_);
    case Family::V6:
      return absl::StrCat("[", ip_string(), "]:", port_);
    default:
      return path_;
  }
}

bool Address::operator==(const Address& other) const {
  return family_ == other.family_ && port_ == other.port_ && ip_bytes() == other.ip_bytes() &&
         path_ == other.path_;
}

size_t Address::hash() const {
  const std::string_view bytes = family_ == Family::Unix ? std::string_view(path_) : ip_bytes();
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(),
                              static_cast<uint64_t>(family_) << 16 | port_);
}

absl::StatusOr<CidrRange> CidrRange::make(std::string_view ip, uint32_t prefix_bits) {
  auto address = Address::from_ip(ip, 0);
  if (!address.ok()) return address.status();
  const auto bytes = address->ip_bytes();
  // As Envoy does: a prefix longer than the address means the whole address.
  const unsigned bits = std::min<unsigned>(prefix_bits, static_cast<unsigned>(bytes.size()) * 8);
  sockaddr_storage storage;
  const socklen_t length = address->to_sockaddr(&storage);
  auto* raw = address->family() == Address::Family::V4
                  ? reinterpret_cast<uint8_t*>(&reinterpret_cast<sockaddr_in*>(&storage)->sin_addr)
                  : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_addr.s6_addr;
  for (unsigned bit = bits; bit < bytes.size() * 8; ++bit) {
    raw[bit / 8] &= static_cast<uint8_t>(~(0x80 >> (bit % 8)));
  }
  return CidrRange{Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length),
                   static_cast<uint8_t>(bits)};
}

bool CidrRange::contains(const Address& address) const {
  return base.is_ip() && address.family() == base.family() &&
         same_prefix(address.ip_bytes(), base.ip_bytes(), prefix_bits);
}

std::string CidrRange::to_string() const {
  return base.ip_string() + "/" + std::to_string(prefix_bits);
}

}  // namespace remora
