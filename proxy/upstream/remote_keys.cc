#include "proxy/upstream/remote_keys.h"

namespace remora::upstream {

void RemoteKeys::wait(uint32_t thread, Waiter& waiter) {
  Slot& slot = slots_[thread];
  slot.waiters.push_back(waiter);
  if (std::exchange(slot.asked, true)) return;
  fetcher_.ask(weak_from_this());
}

void RemoteKeys::deliver(uint32_t thread, std::shared_ptr<const tls::KeySet> keys,
                         MonotonicMs valid_until) {
  Slot& slot = slots_[thread];
  const bool fetched = keys != nullptr;
  slot.asked = false;
  if (fetched) {
    slot.keys = std::move(keys);
    slot.valid_until = valid_until;
  }
  // Who waits again waits for the next fetch.
  IntrusiveList<Waiter> told;
  while (!slot.waiters.empty()) told.push_back(slot.waiters.front());
  while (!told.empty()) {
    Waiter& waiter = told.front();
    waiter.unlink();
    waiter.on_keys(fetched);
  }
}

}  // namespace remora::upstream
