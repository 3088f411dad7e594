// What workers tell of one host for outlier detection, and what the main thread keeps of it. Owned
// by the Host, made when its cluster first asks for outlier detection. Relaxed atomics: a failure
// more or less between threads does not matter.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "proxy/base/clock.h"
#include "proxy/upstream/outlier_config.h"

namespace remora::upstream {

class Host;

/// Hears that a host failed too often in a row. Outlives all monitors.
class OutlierSink {
 public:
  /// Any thread.
  virtual void on_outlier(const std::string& cluster, std::shared_ptr<const Host> host,
                          Ejection why) = 0;

 protected:
  ~OutlierSink() = default;
};

class OutlierMonitor {
 public:
  OutlierMonitor(std::string cluster, OutlierSink& sink)
      : cluster_(std::move(cluster)), sink_(sink) {}
  OutlierMonitor(const OutlierMonitor&) = delete;

  // --- any thread; `host` is the owner ---
  /// The host answered with this status (of gRPC: what its status means in HTTP).
  void on_response(const std::shared_ptr<const Host>& host, uint16_t status);
  /// It could not be reached, or broke off (503), or did not answer in time (504).
  void on_local_failure(const std::shared_ptr<const Host>& host, uint16_t as_status);
  /// A connection stands. `final`: no answers follow that would say more.
  void on_connected(const std::shared_ptr<const Host>& host, bool final);

  // --- main thread ---
  void configure(const OutlierConfig& config);
  struct Rate {
    uint64_t requests = 0;
    uint64_t successes = 0;
  };
  /// Since the last call.
  Rate take_rate(bool local_origin);
  /// Failures in a row, of all kinds or of the one that was noticed, count from the beginning.
  void forget_failures();
  void forget_failures(Ejection why);

  struct Record {
    bool ejected = false;
    Ejection why = Ejection::Consecutive5xx;  // the last time
    MonotonicMs ejected_at = 0;               // 0: never
    MonotonicMs released_at = 0;              // the same
    uint64_t jitter_ms = 0;
    uint32_t ejections = 0;
    uint32_t back_off = 0;     // how many times the base time an ejection lasts
    double success_rate = -1;  // percent of the last interval; -1: too little to say
    double local_success_rate = -1;
  };
  Record record;

 private:
  struct Counts {
    std::atomic<uint64_t> requests{0};
    std::atomic<uint64_t> successes{0};
    void add(bool success) {
      requests.fetch_add(1, std::memory_order_relaxed);
      if (success) successes.fetch_add(1, std::memory_order_relaxed);
    }
  };
  /// True when this was the failure that makes `limit` in a row.
  static bool reaches(std::atomic<uint32_t>& in_a_row, const std::atomic<uint32_t>& limit);

  const std::string cluster_;
  OutlierSink& sink_;
  std::atomic<uint32_t> limit_5xx_{5};
  std::atomic<uint32_t> limit_gateway_{5};
  std::atomic<uint32_t> limit_local_{5};
  std::atomic<bool> split_{false};
  std::atomic<uint32_t> in_a_row_5xx_{0};
  std::atomic<uint32_t> in_a_row_gateway_{0};
  std::atomic<uint32_t> in_a_row_local_{0};
  Counts answers_;
  Counts local_;
};

}  // namespace remora::upstream
