// Key sets that are fetched from a cluster: the main thread fetches and refreshes them, each worker
// has a slot with what it was last told. Shared by configurations (which may be destroyed on a
// worker) and the main thread's service, which keeps no configuration alive.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/tls/jwk.h"

namespace remora::upstream {

struct RemoteKeysConfig {
  std::string cluster;
  std::string authority;
  std::string path = "/";
  uint64_t timeout_ms = 0;
  uint64_t cache_ms = 600'000;
  bool fetch_at_once = false;  // otherwise when the first request wants them
  uint64_t failed_refetch_ms = 1000;
  uint32_t retries = 0;  // of one fetch
  uint64_t retry_base_ms = 1000;
  uint64_t retry_max_ms = 10'000;

  bool operator==(const RemoteKeysConfig&) const = default;
};

class RemoteKeys;

/// The main thread's service as the workers know it.
class RemoteKeysFetcher {
 public:
  /// Any thread: keys are wanted.
  virtual void ask(std::weak_ptr<RemoteKeys> keys) = 0;

 protected:
  ~RemoteKeysFetcher() = default;
};

class RemoteKeys : public std::enable_shared_from_this<RemoteKeys> {
 public:
  /// Who waits for keys. Destroying it cancels.
  class Waiter : public ListLink {
   public:
    /// Once, from the loop: keys came, or the fetch has failed.
    virtual void on_keys(bool fetched) = 0;

   protected:
    ~Waiter() = default;
  };

  /// `fetcher` outlives the workers' threads. `threads`: how many of them.
  RemoteKeys(RemoteKeysConfig config, uint32_t threads, RemoteKeysFetcher& fetcher)
      : config_(std::move(config)), fetcher_(fetcher), slots_(threads) {}

  const RemoteKeysConfig& config() const { return config_; }

  // --- on thread `thread` only ---
  /// Null: none have come, or they have expired.
  const tls::KeySet* current(uint32_t thread, MonotonicMs now) const {
    const Slot& slot = slots_[thread];
    return now < slot.valid_until ? slot.keys.get() : nullptr;
  }
  /// Has them fetched; the waiter hears of it.
  void wait(uint32_t thread, Waiter& waiter);
  /// What the main thread tells. Null: the fetch has failed; what is there stays until it expires.
  void deliver(uint32_t thread, std::shared_ptr<const tls::KeySet> keys, MonotonicMs valid_until);

 private:
  struct alignas(64) Slot {
    std::shared_ptr<const tls::KeySet> keys;
    MonotonicMs valid_until = 0;
    bool asked = false;
    IntrusiveList<Waiter> waiters;
  };

  const RemoteKeysConfig config_;
  RemoteKeysFetcher& fetcher_;
  std::vector<Slot> slots_;
};

/// Where configurations get theirs while they are compiled; main thread.
class RemoteKeysSource {
 public:
  /// Tells of each fetch whether it was a success.
  using Observer = std::function<void(bool fetched)>;

  /// `owner` says whose they are, in words of the metrics: the same configuration of the same owner
  /// gives the same object while it is in use, so that an update does not fetch anew.
  virtual std::shared_ptr<RemoteKeys> open(const RemoteKeysConfig& config, std::string_view owner,
                                           Observer observer) = 0;

 protected:
  ~RemoteKeysSource() = default;
};

}  // namespace remora::upstream
