// Values by address prefix, found by the longest prefix that contains an address. Built once, then
// only read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/net/address.h"

namespace remora {

template <class T>
class PrefixMap {
 public:
  /// The value at exactly `range`, made when absent.
  T& at(const CidrRange& range) {
    auto& lengths = of(range.base.family());
    auto place = std::find_if(lengths.begin(), lengths.end(),
                              [&](const Length& l) { return l.bits <= range.prefix_bits; });
    if (place == lengths.end() || place->bits != range.prefix_bits) {
      place = lengths.insert(place, Length{range.prefix_bits, {}});
    }
    return place->values[std::string(range.base.ip_bytes())];
  }

  const T* longest_match(const Address& address) const {
    const std::string_view ip = address.ip_bytes();
    char masked[16];
    for (const Length& length : of(address.family())) {
      mask(ip, length.bits, masked);
      const auto found = length.values.find(std::string_view(masked, ip.size()));
      if (found != length.values.end()) return &found->second;
    }
    return nullptr;
  }

  bool empty() const { return v4_.empty() && v6_.empty(); }

 private:
  struct Length {
    uint8_t bits;
    StringMap<T> values;  // by the prefix's bytes
  };

  std::vector<Length>& of(Address::Family family) {
    return family == Address::Family::V4 ? v4_ : v6_;
  }
  const std::vector<Length>& of(Address::Family family) const {
    return family == Address::Family::V4 ? v4_ : v6_;
  }
  static void mask(std::string_view ip, unsigned bits, char* out) {
    for (size_t i = 0; i<ip.size(); ++i, bits = bits> 8 ? bits - 8 : 0) {
      const auto keep = bits >= 8 ? 0xff : static_cast<uint8_t>(0xff << (8 - bits));
      out[i] = static_cast<char>(ip[i] & keep);
    }
  }

  std::vector<Length> v4_;  // longest first
  std::vector<Length> v6_;
};

}  // namespace remora
