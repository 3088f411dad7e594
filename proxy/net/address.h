// A socket address as a value: IPv4, IPv6 or a Unix path (abstract ones start with '@').
// CONTRACT.
#pragma once

#include <absl/status/statusor.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace remora {

class Address {
 public:
  enum class Family : uint8_t { None, V4, V6, Unix };

  Address() = default;
  /// `ip` without brackets, v4 or v6 (with optional %zone refused).
  static absl::StatusOr<Address> from_ip(std::string_view ip, uint16_t port);
  static absl::StatusOr<Address> from_unix_path(std::string_view path);
  static Address from_sockaddr(const sockaddr* sa, socklen_t length);
  /// Fills `out` and returns its length.
  socklen_t to_sockaddr(sockaddr_storage* out) const;

  Family family() const { return family_; }
  bool is_ip() const { return family_ == Family::V4 || family_ == Family::V6; }
  explicit operator bool() const { return family_ != Family::None; }
  uint16_t port() const { return port_; }
  Address with_port(uint16_t port) const;

  /// Network-order bytes: 4 for V4, 16 for V6.
  std::string_view ip_bytes() const;
  bool is_any() const;       // 0.0.0.0 or ::
  bool is_loopback() const;  // 127/8, ::1, ::ffff:127/104, any Unix socket
  /// RFC 1918, RFC 4193, loopback: what Envoy calls internal when nothing else is configured.
  bool is_private() const;
  /// An IPv4-mapped IPv6 address as the IPv4 one; others unchanged.
  Address unmapped() const;

  /// "10.0.0.1:80", "[::1]:80", "/run/x.sock", "@abstract": Envoy's spelling.
  std::string to_string() const;
  std::string ip_string() const;  // without port or brackets; the path for Unix

  bool operator==(const Address& other) const;
  size_t hash() const;
  template <class H>
  friend H AbslHashValue(H state, const Address& a) {
    return H::combine(std::move(state), a.hash());
  }

 private:
  Family family_ = Family::None;
  uint16_t port_ = 0;
  uint8_t ip_[16] = {};
  std::string path_;
};

/// An address prefix, "10.0.0.0/8".
struct CidrRange {
  Address base;  // host bits cleared, port 0
  uint8_t prefix_bits = 0;
  static absl::StatusOr<CidrRange> make(std::string_view ip, uint32_t prefix_bits);
  bool contains(const Address& address) const;
  std::string to_string() const;
};

}  // namespace remora
