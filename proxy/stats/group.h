// A group is the metrics of one thing (cluster "foo", listener 0.0.0.0:80): made by the store on
// the main thread, held by configurations and shared by all workers. Each thread writes its own
// Slab of it; nothing on the data path locks, allocates (after a thread's first use) or pays for an
// atomic read-modify-write.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/stats/histogram.h"
#include "proxy/stats/response_codes.h"
#include "proxy/stats/schema.h"

namespace remora::stats {

class Store;
struct GroupCache;  // what the scrape remembers of a group: rejected or retagged names, reset
                    // counters, intervals

/// What one thread has counted, with its types erased, for the scrape.
struct SlabView {
  const Cell* cells = nullptr;  // values; then the decrements of the gauges
  const std::atomic<HistogramCells*>* histograms = nullptr;
  const std::atomic<ResponseCodes*>* scopes = nullptr;
};

class SlabBase {
 public:
  virtual ~SlabBase() = default;
  virtual SlabView view() const = 0;
};

class GroupBase : public std::enable_shared_from_this<GroupBase> {
 public:
  GroupBase(Store& store, const SchemaInfo& schema, std::string_view prefix);
  virtual ~GroupBase();
  GroupBase(const GroupBase&) = delete;
  GroupBase& operator=(const GroupBase&) = delete;

  std::string_view prefix() const {
    return {reinterpret_cast<const char*>(slots_ + slot_count_), prefix_size_};
  }
  const SchemaInfo& schema() const { return schema_; }

 protected:
  friend class Store;
  friend class Scrape;

  struct MainValue {
    uint16_t id;
    uint64_t value;
  };
  /// Values of the main thread's own metrics that were ever written; few.
  struct MainValues {
    std::vector<MainValue> numbers;
    std::vector<std::pair<uint16_t, std::string>> texts;
  };
  uint64_t& main_value(uint16_t id);
  std::string& main_text(uint16_t id);
  std::shared_ptr<const HistogramBounds> bounds_of(uint16_t histogram) const;
  /// Slots 0..N-1 for workers, N for the main thread.
  std::atomic<SlabBase*>& slot(uint32_t index) const { return slots_[index]; }

 private:
  Store& store_;
  const SchemaInfo& schema_;
  std::atomic<SlabBase*>* slots_;  // slot_count_ of them, and behind them the prefix's characters
  const uint32_t slot_count_;      // 0: a schema that only the main thread writes
  const uint32_t prefix_size_;
  std::unique_ptr<MainValues> main_;
  std::unique_ptr<GroupCache> cache_;
  std::unique_ptr<std::vector<std::shared_ptr<GroupBase>>> children_;  // under the store's lock
};

/// One thread's half of a group. Only that thread writes; keep the reference as long as the group
/// is held.
template <class Schema>
class alignas(64) Slab final : public SlabBase {
 public:
  using Stat = typename Schema::Stat;
  using Histogram = typename Schema::Histogram;
  using Scope = typename Schema::Scope;

  explicit Slab(const GroupBase& group) : group_(group) {}
  ~Slab() override {
    for (auto& h : histograms_) delete h.load(std::memory_order_relaxed);
    for (auto& s : scopes_) delete s.load(std::memory_order_relaxed);
  }

  void inc(Stat stat) { add(stat, 1); }
  void add(Stat stat, uint64_t n) { cells_[index(stat)].add(n); }
  /// Gauges only. Threads' parts are summed: one thread may take away what another added.
  void dec(Stat stat) { sub(stat, 1); }
  void sub(Stat stat, uint64_t n) { cells_[kStats + index(stat)].add(n); }
  /// Gauges only: this thread's part becomes `n`.
  void set(Stat stat, uint64_t n) {
    cells_[index(stat)].set(n + cells_[kStats + index(stat)].value());
  }
  /// This thread's part.
  uint64_t value(Stat stat) const {
    size_t i = index(stat);
    return cells_[i].value() - (i < kGauges ? cells_[kStats + i].value() : 0);
  }

  void record(Histogram histogram, uint64_t value);
  void count_response(Scope scope, uint16_t code);

  SlabView view() const override { return {cells_.data(), histograms_.data(), scopes_.data()}; }

 private:
  static constexpr size_t kStats = static_cast<size_t>(Stat::kCount);
  static constexpr size_t kGauges = schema_internal::count_gauges(stats_of<Schema>());
  static_assert(schema_internal::gauges_come_first(stats_of<Schema>()),
                "gauges come before counters");
  static constexpr size_t index(Stat stat) { return static_cast<size_t>(stat); }

  const GroupBase& group_;
  std::array<Cell, kStats + kGauges> cells_;
  std::array<std::atomic<HistogramCells*>, static_cast<size_t>(Histogram::kCount)> histograms_{};
  std::array<std::atomic<ResponseCodes*>, static_cast<size_t>(Scope::kCount)> scopes_{};

  template <class>
  friend class Group;
};

template <class Schema>
class Group final : public GroupBase {
 public:
  using MainStat = typename Schema::MainStat;

  Group(Store& store, std::string_view prefix) : GroupBase(store, kSchemaInfo<Schema>, prefix) {}

  /// The calling thread's slab; `index` is that thread's (WorkerContext::index()), the main
  /// thread's is the number of workers. Made at the thread's first call. Callers keep the
  /// reference.
  Slab<Schema>& at(uint32_t index) {
    std::atomic<SlabBase*>& slot = this->slot(index);
    SlabBase* slab = slot.load(std::memory_order_relaxed);
    if (slab == nullptr) slot.store(slab = new Slab<Schema>(*this), std::memory_order_release);
    return static_cast<Slab<Schema>&>(*slab);
  }

  // --- the main thread's own metrics; main thread only ---
  void inc(MainStat stat) { ++main_value(static_cast<uint16_t>(stat)); }
  void dec(MainStat stat) { --main_value(static_cast<uint16_t>(stat)); }
  void add(MainStat stat, uint64_t n) { main_value(static_cast<uint16_t>(stat)) += n; }
  void set(MainStat stat, uint64_t n) { main_value(static_cast<uint16_t>(stat)) = n; }
  void set_text(MainStat stat, std::string_view text) {
    main_text(static_cast<uint16_t>(stat)) = text;
  }

 private:
  friend class Slab<Schema>;
};

/// Answers by class of a group that has downstream_rq_1xx to downstream_rq_5xx and
/// downstream_rq_completed.
template <class Schema>
void count_downstream_response(Slab<Schema>& slab, uint16_t code) {
  using Stat = typename Schema::Stat;
  slab.inc(Stat::downstream_rq_completed);
  uint32_t code_class = code / 100;
  if (code_class < 1 || code_class > 5) return;
  slab.inc(static_cast<Stat>(static_cast<uint32_t>(Stat::downstream_rq_1xx) + code_class - 1));
}

template <class Schema>
void Slab<Schema>::record(Histogram histogram, uint64_t value) {
  auto& slot = histograms_[static_cast<size_t>(histogram)];
  HistogramCells* cells = slot.load(std::memory_order_relaxed);
  if (cells == nullptr) [[unlikely]] {
    cells = new HistogramCells(
        static_cast<const Group<Schema>&>(group_).bounds_of(static_cast<uint16_t>(histogram)));
    slot.store(cells, std::memory_order_release);
  }
  cells->record(value);
}

template <class Schema>
void Slab<Schema>::count_response(Scope scope, uint16_t code) {
  auto& slot = scopes_[static_cast<size_t>(scope)];
  ResponseCodes* codes = slot.load(std::memory_order_relaxed);
  if (codes == nullptr) [[unlikely]]
    slot.store(codes = new ResponseCodes, std::memory_order_release);
  codes->count(code);
}

}  // namespace remora::stats
