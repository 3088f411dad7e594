// Chains that led to a root when their peer connected before, so that a peer that comes again pays
// for the signatures in its chain once. One per thread; that thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace remora::tls {

class KnownChains {
 public:
  /// `key` stands for all that the judgement came from: the trust, the request, every certificate.
  /// Nothing for one that is not known, or of which a part has ended.
  std::optional<int64_t> valid_until_s(std::string_view key, int64_t now_s) const {
    for (const Entry& entry : latest_) {
      if (entry.key == key && now_s < entry.valid_until_s) return entry.valid_until_s;
    }
    return std::nullopt;
  }

  void keep(std::string key, int64_t valid_until_s) {
    latest_[next_++ % latest_.size()] = {std::move(key), valid_until_s};
  }

 private:
  struct Entry {
    std::string key;
    int64_t valid_until_s = 0;
  };
  std::array<Entry, 16> latest_;
  size_t next_ = 0;
};

}  // namespace remora::tls
