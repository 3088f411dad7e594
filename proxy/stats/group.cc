#include "proxy/stats/group.h"

#include <absl/strings/str_cat.h>

#include <algorithm>

#include "proxy/stats/group_cache.h"
#include "proxy/stats/store.h"

namespace remora::stats {

GroupBase::GroupBase(Store& store, const SchemaInfo& schema, std::string_view prefix)
    : store_(store), schema_(schema), prefix_(prefix) {
  if (schema.stats.empty() && schema.histograms.empty() && schema.response_scopes.empty()) return;
  slabs_ = std::make_unique<std::atomic<SlabBase*>[]>(store.workers() + 1);
}

GroupBase::~GroupBase() {
  store_.remove(*this);
  if (slabs_ == nullptr) return;
  for (uint32_t i = 0; i <= store_.workers(); ++i) delete slabs_[i].load(std::memory_order_acquire);
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
  return store_.bounds_for(
      absl::StrCat(absl::string_view(prefix_), ".", absl::string_view(name.data(), name.size())));
}

}  // namespace remora::stats
