// What the listeners of one worker are given: its loop, the limits it shares with other workers,
// how long draining takes, where ended connections are logged. Owned by the Worker; its thread
// only, unless said otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

#include "proxy/event/event_loop.h"
#include "proxy/net/connection.h"
#include "proxy/net/connection_facts.h"
#include "proxy/net/listener_config.h"

namespace remora {

class WorkerContext;

/// Downstream connections that the process holds, all workers together. Any thread.
class ConnectionLimit {
 public:
  void set_max(uint64_t max) { max_.store(max, std::memory_order_relaxed); }
  uint64_t max() const { return max_.load(std::memory_order_relaxed); }
  uint64_t open() const { return open_.load(std::memory_order_relaxed); }

  bool try_take() {
    if (open_.fetch_add(1, std::memory_order_relaxed) < max()) return true;
    give_back();
    return false;
  }
  void give_back() { open_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<uint64_t> open_{0};
  std::atomic<uint64_t> max_{UINT64_MAX};
};

/// A connection's place under the limit, given back by the destructor. Empty: not counted.
class ConnectionSlot {
 public:
  ConnectionSlot() = default;
  explicit ConnectionSlot(ConnectionLimit& taken_from) : limit_(&taken_from) {}
  ConnectionSlot(ConnectionSlot&& other) noexcept : limit_(std::exchange(other.limit_, nullptr)) {}
  ConnectionSlot& operator=(ConnectionSlot&& other) noexcept {
    std::swap(limit_, other.limit_);
    return *this;
  }
  ~ConnectionSlot() {
    if (limit_ != nullptr) limit_->give_back();
  }

 private:
  ConnectionLimit* limit_ = nullptr;
};

/// A downstream connection as the listener's access log sees it when it is over.
struct ConnectionEnd {
  const ListenerConfig& listener;
  const ConnectionFacts& facts;
  CloseCause cause = CloseCause::LocalClose;
  bool no_filter_chain = false;  // response flag NR, detail "filter_chain_not_found"
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t duration_us = 0;
  std::string_view termination_details = {};
};

struct ListenerEnvironment {
  EventLoop& loop;
  WorkerContext& worker;
  uint32_t worker_index = 0;
  /// None when null.
  ConnectionLimit* connection_limit = nullptr;
  /// Connections of removed listeners and filter chains are closed after this long.
  uint64_t drain_time_ms = 600'000;
  /// Tells connections to finish spread over the drain time instead of all at once.
  bool gradual_drain = true;
  uint64_t (*next_connection_id)(WorkerContext& worker) = nullptr;
  /// Writes the listener's access logs. Not called when null.
  void (*log_connection)(WorkerContext& worker, const ConnectionEnd& end) = nullptr;
};

}  // namespace remora
