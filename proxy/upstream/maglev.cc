// Maglev: a table of prime size that the hosts fill in turn, each by its own permutation of the
// entries (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", 2016).
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "proxy/upstream/hash_table.h"

namespace remora::upstream {
namespace {

/// Numbers below a bound in as few bytes each as it takes.
class CompactNumbers {
 public:
  CompactNumbers(size_t count, size_t bound)
      : width_(bound <= 0x100     ? 1
               : bound <= 0x10000 ? 2
                                  : 4),
        bytes_(count * width_) {}
  uint32_t get(size_t at) const {
    uint32_t value = 0;
    std::memcpy(&value, &bytes_[at * width_], width_);  // little-endian, as x86-64 is
    return value;
  }
  void set(size_t at, uint32_t value) { std::memcpy(&bytes_[at * width_], &value, width_); }

 private:
  size_t width_;
  std::vector<uint8_t> bytes_;
};

/// A host while the table is filled.
struct Filler {
  std::string key;
  const HostShare* share = nullptr;
  uint64_t offset = 0;
  uint64_t skip = 0;
  uint64_t next = 0;  // in its permutation
  double due = 0;     // its turn comes when the rounds have given it so much
  size_t entries = 0;

  uint64_t candidate(uint64_t size) { return (offset + skip * next++) % size; }
};

std::vector<Filler> fillers_of(std::span<const HostShare> shares, const HashPolicyConfig& config) {
  std::vector<Filler> fillers;
  for (const HostShare& share : shares) {
    Filler filler;
    filler.key = hash_key_of(*share.host, config.use_hostname);
    filler.share = &share;
    filler.offset = XXH64(filler.key.data(), filler.key.size(), 0) % config.table_size;
    filler.skip = XXH64(filler.key.data(), filler.key.size(), 1) % (config.table_size - 1) + 1;
    fillers.push_back(std::move(filler));
  }
  // The order decides who comes first: it must not depend on how endpoints were listed.
  std::ranges::stable_sort(fillers, {}, &Filler::key);
  return fillers;
}

class Maglev final : public HashTable {
 public:
  Maglev(std::span<const HostShare> shares, const HashPolicyConfig& config)
      : entries_(config.table_size, shares.size()) {
    std::vector<Filler> fillers = fillers_of(shares, config);
    size_ = config.table_size;
    fill(fillers);
    least_entries_ = size_;
    for (const Filler& filler : fillers) {
      hosts_.push_back(filler.share->host);
      least_entries_ = std::min(least_entries_, filler.entries);
      most_entries_ = std::max(most_entries_, filler.entries);
    }
  }

  const HostPtr& choose(uint64_t hash, uint32_t attempt, uint64_t) const override {
    if (attempt > 0) hash ^= ~uint64_t{0} - attempt + 1;
    return hosts_[entries_.get(hash % size_)];
  }

 private:
  void fill(std::vector<Filler>& fillers) {
    double most = 0;
    for (const Filler& filler : fillers) most = std::max(most, filler.share->share);
    std::vector<bool> taken(size_);
    size_t filled = 0;
    for (uint32_t round = 1; filled < size_; ++round) {
      for (uint32_t i = 0; i < fillers.size() && filled < size_; ++i) {
        Filler& filler = fillers[i];
        if (round * filler.share->share < filler.due) continue;
        filler.due += most;
        uint64_t at = filler.candidate(size_);
        while (taken[at]) at = filler.candidate(size_);
        taken[at] = true;
        entries_.set(at, i);
        ++filler.entries;
        ++filled;
      }
    }
  }

  CompactNumbers entries_;  // index of a host
  std::vector<HostPtr> hosts_;
};

}  // namespace

std::shared_ptr<const HashTable> make_maglev(std::span<const HostShare> shares,
                                             const HashPolicyConfig& config) {
  return std::make_shared<Maglev>(shares, config);
}

}  // namespace remora::upstream
