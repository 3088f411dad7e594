// The ring: every host stands at as many points as its share is worth; a hash goes to the next
// point.
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "proxy/upstream/hash_table.h"

namespace remora::upstream {
namespace {

class Ring final : public HashTable {
 public:
  Ring(std::span<const HostShare> shares, const HashPolicyConfig& config) {
    double least = 1;
    for (const HostShare& share : shares) least = std::min(least, share.share);
    // So large that the least host has a whole number of points.
    const double scale =
        std::min(std::ceil(least * static_cast<double>(config.min_ring_size)) / least,
                 static_cast<double>(config.max_ring_size));
    size_ = static_cast<size_t>(std::ceil(scale));
    least_entries_ = size_;
    std::vector<Point> points;
    points.reserve(size_);
    double due = 0;
    for (const HostShare& share : shares) {
      due += scale * share.share;
      const auto host = static_cast<uint32_t>(hosts_.size());
      hosts_.push_back(share.host);
      const size_t added = add_points(share, host, due, config, &points);
      least_entries_ = std::min(least_entries_, added);
      most_entries_ = std::max(most_entries_, added);
    }
    std::ranges::sort(points, {}, &Point::hash);
    for (const Point& point : points) {
      hashes_.push_back(point.hash);
      owners_.push_back(point.host);
    }
  }

  const HostPtr& choose(uint64_t hash, uint32_t attempt, uint64_t) const override {
    const auto next = std::ranges::lower_bound(hashes_, hash);
    const auto at = static_cast<size_t>(next - hashes_.begin());
    return hosts_[owners_[(at + attempt) % hashes_.size()]];
  }

 private:
  struct Point {
    uint64_t hash;
    uint32_t host;
  };

  /// Until there are `due` points in all; answers how many there are of this host.
  static size_t add_points(const HostShare& share, uint32_t host, double due,
                           const HashPolicyConfig& config, std::vector<Point>* points) {
    std::string key = hash_key_of(*share.host, config.use_hostname) + "_";
    const size_t stem = key.size();
    size_t number = 0;
    for (; static_cast<double>(points->size()) < due; ++number) {
      key.resize(stem);
      key += std::to_string(number);
      points->push_back(
          {config.murmur ? murmur_hash2(key) : XXH64(key.data(), key.size(), 0), host});
    }
    return number;
  }

  std::vector<uint64_t> hashes_;  // ascending
  std::vector<uint32_t> owners_;  // index of a host, by index of hashes_
  std::vector<HostPtr> hosts_;
};

}  // namespace

std::shared_ptr<const HashTable> make_ring(std::span<const HostShare> shares,
                                           const HashPolicyConfig& config) {
  return std::make_shared<Ring>(shares, config);
}

uint64_t murmur_hash2(std::string_view text) {
  constexpr uint64_t kSeed = 0xc70f6907, kMultiplier = 0xc6a4a7935bd1e995;
  const auto mix = [](uint64_t value) { return value ^ (value >> 47); };
  uint64_t hash = kSeed ^ (text.size() * kMultiplier);
  for (; text.size() >= 8; text.remove_prefix(8)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data(), 8);
    hash = (hash ^ (mix(word * kMultiplier) * kMultiplier)) * kMultiplier;
  }
  if (!text.empty()) {
    uint64_t word = 0;
    std::memcpy(&word, text.data(), text.size());
    hash = (hash ^ word) * kMultiplier;
  }
  return mix(mix(hash) * kMultiplier);
}

}  // namespace remora::upstream
