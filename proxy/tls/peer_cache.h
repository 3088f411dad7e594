// Certificates read before, so that the connections of one peer share what was read, and those that
// it makes one after another. One per thread; that thread only.
#pragma once

#include <array>
#include <memory>

#include "proxy/base/string_map.h"
#include "proxy/tls/certificate_identity.h"

namespace remora::tls {

class PeerCache {
 public:
  std::shared_ptr<const ReadCertificate> read(X509& certificate) {
    std::weak_ptr<const ReadCertificate>& known = known_[sha256_of(certificate)];
    if (auto living = known.lock()) return living;
    auto read = std::make_shared<const ReadCertificate>(read_certificate(certificate));
    known = read;
    latest_[next_++ % latest_.size()] = read;
    if (known_.size() > limit_) drop_unused();
    return read;
  }

 private:
  static constexpr size_t kMinLimit = 64;

  void drop_unused() {
    absl::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
    limit_ = std::max(kMinLimit, 2 * known_.size());
  }

  StringMap<std::weak_ptr<const ReadCertificate>> known_;
  std::array<std::shared_ptr<const ReadCertificate>, 4> latest_;
  size_t next_ = 0;
  size_t limit_ = kMinLimit;
};

}  // namespace remora::tls
