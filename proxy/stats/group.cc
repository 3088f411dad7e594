#include "proxy/stats/group.h"

#include <fmt/core.h>

#include <cstring>
#include <new>

#include "proxy/stats/group_cache.h"
#include "proxy/stats/store.h"

namespace remora::stats {

namespace {

/// How many threads may write metrics of `schema`.
uint32_t slots_of(const SchemaInfo& schema, uint32_t workers) {
  bool on_workers =
      !schema.stats.empty() || !schema.histograms.empty() || !schema.response_scopes.empty();
  return on_workers ? workers + 1 : 0;
}

}  // namespace

GroupBase::GroupBase(Store& store, const SchemaInfo& schema, std::string_view prefix)
    : store_(store),
      schema_(schema),
      slot_count_(slots_of(schema, store.workers())),
      prefix_size_(static_cast<uint32_t>(prefix.size())) {
  using Slot = std::atomic<SlabBase*>;
  void* memory = ::operator new(slot_count_ * sizeof(Slot) + prefix.size());
  slots_ = static_cast<Slot*>(memory);
  for (uint32_t i = 0; i < slot_count_; ++i) new (&slots_[i]) Slot(nullptr);
  std::memcpy(static_cast<void*>(slots_ + slot_count_), prefix.data(), prefix.size());
}

GroupBase::~GroupBase() {
  store_.remove(*this);
  for (uint32_t i = 0; i < slot_count_; ++i) delete slot(i).load(std::memory_order_acquire);
  ::operator delete(slots_);
}

uint64_t& GroupBase::main_value(uint16_t id) {
  if (main_ == nullptr) main_ = std::make_unique<MainValues>();
  for (MainValue& value : main_->numbers) {
    if (value.id == id) return value.value;
  }
  return main_->numbers.emplace_back(MainValue{id, 0}).value;
}

std::string& GroupBase::main_text(uint16_t id) {
  if (main_ == nullptr) main_ = std::make_unique<MainValues>();
  for (auto& [at, text] : main_->texts) {
    if (at == id) return text;
  }
  return main_->texts.emplace_back(id, "").second;
}

std::shared_ptr<const HistogramBounds> GroupBase::bounds_of(uint16_t histogram) const {
  std::string_view name = schema_.histograms[histogram].name;
  return store_.bounds_for(fmt::format("{}.{}", prefix(), name));
}

}  // namespace remora::stats
