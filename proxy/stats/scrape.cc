#include "proxy/stats/scrape.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace remora::stats {

namespace {

bool is_optional(Kind kind) {
  return kind == Kind::OptionalGauge || kind == Kind::OptionalCounter ||
         kind == Kind::OptionalHistogram;
}

Kind shown_as(Kind kind) {
  if (kind == Kind::OptionalGauge) return Kind::Gauge;
  if (kind == Kind::OptionalCounter) return Kind::Counter;
  if (kind == Kind::OptionalHistogram) return Kind::Histogram;
  return kind;
}

/// "ciphers.X" below "listener.Y.ssl": the rest of the name is a tag.
bool has_tag_inside(std::string_view name) {
  return name.starts_with("ciphers.") || name.starts_with("curves.") ||
         name.starts_with("sigalgs.") || name.starts_with("versions.");
}

/// Between a group's prefix and its metrics' names: a group of metrics at the root has no prefix.
std::string_view separator(const GroupBase& group) { return group.prefix().empty() ? "" : "."; }

bool digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Scrape::SlabViews Scrape::slabs_of(const GroupBase& group) {
  SlabViews out;
  for (uint32_t i = 0; i < group.slot_count_; ++i) {
    const SlabBase* slab = group.slot(i).load(std::memory_order_acquire);
    if (slab != nullptr) out.emplace_back(i, slab->view());
  }
  return out;
}

Scrape::Number Scrape::sum(const SchemaInfo& schema, const SlabViews& slabs, size_t stat) {
  uint64_t added = 0, taken = 0;
  for (const auto& [index, slab] : slabs) {
    added += slab.cells[stat].value();
    if (stat < schema.gauges) taken += slab.cells[schema.stats.size() + stat].value();
  }
  // Threads are read one after the other: a gauge raised on one and lowered on another may look
  // negative.
  auto value = static_cast<int64_t>(added - taken);
  return {stat < schema.gauges ? static_cast<uint64_t>(std::max<int64_t>(value, 0)) : added,
          added != 0};
}

Scrape::CodeCounts Scrape::sum_codes(const SlabViews& slabs, size_t scope) {
  std::map<uint16_t, uint64_t> sums;
  for (const auto& [index, slab] : slabs) {
    const ResponseCodes* codes = slab.scopes[scope].load(std::memory_order_acquire);
    if (codes == nullptr) continue;
    codes->for_each([&](uint16_t code, uint64_t count) { sums[code] += count; });
  }
  return {sums.begin(), sums.end()};
}

HistogramSnapshot Scrape::merge(const SlabViews& slabs, size_t histogram) {
  HistogramSnapshot snapshot;
  for (const auto& [index, slab] : slabs) {
    const HistogramCells* cells = slab.histograms[histogram].load(std::memory_order_acquire);
    if (cells != nullptr) cells->merge_into(snapshot);
  }
  return snapshot;
}

GroupCache& Scrape::cache() {
  if (group_->cache_ == nullptr) group_->cache_ = std::make_unique<GroupCache>();
  return *group_->cache_;
}

void Scrape::show(GroupBase& group) {
  group_ = &group;
  slabs_ = slabs_of(group);
  prefix_.base.clear();
  position_ = 0;
  selecting_ = store_.selects();
  asking_ = selecting_ && !(group.cache_ != nullptr && group.cache_->selected.has_value());
  if (asking_) cache().selected.emplace();
  show_stats();
  show_main_stats();
  show_histograms();
  show_responses();
  if (asking_ && !anything_selected()) group.cache_->selected->each = {};
}

bool Scrape::anything_selected() const {
  const auto& each = group_->cache_->selected->each;
  return std::find(each.begin(), each.end(), true) != each.end();
}

bool Scrape::selected(std::string_view name) const {
  if (!selecting_) return true;
  return store_.selected(fmt::format("{}{}{}", group_->prefix(), separator(*group_), name));
}

bool Scrape::next_selected(std::string_view name) {
  if (!selecting_) return true;
  auto& each = group_->cache_->selected->each;
  if (!asking_) return !each.empty() && each[position_++];
  each.push_back(selected(name));
  return each.back();
}

void Scrape::show_stats() {
  const SchemaInfo& schema = group_->schema_;
  for (size_t i = 0; i < schema.stats.size(); ++i) {
    const StatDef& def = schema.stats[i];
    if (schema.per_worker >> i & 1) show_per_worker(i);
    if (!next_selected(def.name)) continue;
    Number number = sum(schema, slabs_, i);
    if (is_optional(def.kind) && !number.used) continue;
    Metric metric;
    metric.kind = shown_as(def.kind);
    metric.value = number.value;
    metric.used = number.used;
    if (i >= schema.gauges && group_->cache_ != nullptr && !group_->cache_->counter_zero.empty()) {
      metric.value -= group_->cache_->counter_zero[i];
    }
    emit(metric, "", def.name);
  }
}

void Scrape::show_per_worker(size_t stat) {
  const SchemaInfo& schema = group_->schema_;
  const StatDef& def = schema.stats[stat];
  bool on_main = false;
  for (const auto& [index, slab] : slabs_) on_main |= index == store_.main_index();
  // A listener is either of the workers or of the main thread (admin).
  uint32_t first = on_main ? store_.main_index() : 0;
  uint32_t end = on_main ? store_.main_index() + 1 : store_.workers();
  for (uint32_t i = first; i < end; ++i) {
    std::string middle = on_main ? "main_thread." : fmt::format("worker_{}.", i);
    if (!selected(middle + std::string(def.name))) continue;
    SlabViews one;
    for (const auto& entry : slabs_) {
      if (entry.first == i) one.push_back(entry);
    }
    Number number = sum(schema, one, stat);
    Metric metric;
    metric.kind = def.kind;
    metric.value = number.value;
    metric.used = number.used;
    emit(metric, middle, def.name);
  }
}

void Scrape::show_main_stats() {
  const SchemaInfo& schema = group_->schema_;
  const GroupBase::MainValues* values = group_->main_.get();
  for (size_t i = 0; i < schema.main_stats.size(); ++i) {
    const StatDef& def = schema.main_stats[i];
    if (!next_selected(def.name)) continue;
    Metric metric;
    metric.kind = shown_as(def.kind);
    if (values != nullptr) {
      for (const auto& number : values->numbers) {
        if (number.id != i) continue;
        metric.value = number.value;
        metric.used = metric.kind == Kind::Gauge || number.value != 0;
      }
      for (const auto& [id, text] : values->texts) {
        if (id != i) continue;
        metric.text = text;
        metric.used = true;
      }
    }
    if (is_optional(def.kind) && !metric.used) continue;
    emit(metric, "", def.name);
  }
}

void Scrape::show_histograms() {
  const SchemaInfo& schema = group_->schema_;
  const HistogramSnapshot kEmpty;
  for (size_t i = 0; i < schema.histograms.size(); ++i) {
    const StatDef& def = schema.histograms[i];
    if (!next_selected(def.name)) continue;
    HistogramSnapshot snapshot = merge(slabs_, i);
    if (snapshot.bounds == nullptr) snapshot.bounds = group_->bounds_of(static_cast<uint16_t>(i));
    if (is_optional(def.kind) && snapshot.count == 0) continue;
    Metric metric;
    metric.kind = Kind::Histogram;
    metric.used = snapshot.count != 0;
    metric.histogram = &snapshot;
    bool known = group_->cache_ != nullptr && !group_->cache_->intervals.empty();
    metric.interval = known ? &group_->cache_->intervals[i].last : &kEmpty;
    emit(metric, "", def.name);
  }
}

void Scrape::show_responses() {
  const auto scopes = group_->schema_.response_scopes;
  for (size_t i = 0; i < scopes.size(); ++i) {
    CodeCounts counts = sum_codes(slabs_, i);
    // The first of several families always shows its total, the others only once they are used.
    if (counts.empty() && (i != 0 || scopes.size() == 1)) continue;
    if (group_->cache_ != nullptr) {
      for (const auto& [scope, code, zero] : group_->cache_->response_zero) {
        if (scope != i) continue;
        for (auto& [seen, count] : counts) {
          if (seen == code) count -= zero;
        }
      }
    }
    show_scope(scopes[i], counts);
  }
}

void Scrape::show_scope(std::string_view scope, const CodeCounts& counts) {
  auto show = [&](std::string_view suffix, uint64_t value) {
    std::string name = fmt::format("{}_{}", scope, suffix);
    if (!selected(name)) return;
    Metric metric;
    metric.kind = Kind::Counter;
    metric.value = value;
    metric.used = value != 0;
    emit(metric, "", name);
  };
  uint64_t total = 0, unknown = 0;
  uint64_t classes[6] = {};
  bool class_seen[6] = {};
  for (const auto& [code, count] : counts) {
    total += count;
    if (code < 100 || code > 599) {
      unknown += count;
      continue;
    }
    classes[code / 100] += count;
    class_seen[code / 100] = true;
    show(std::to_string(code), count);
  }
  for (int c = 1; c <= 5; ++c) {
    if (class_seen[c]) show(fmt::format("{}xx", c), classes[c]);
  }
  if (unknown != 0) show("unknown", unknown);
  show("completed", total);
}

void Scrape::emit(Metric metric, std::string_view middle, std::string_view name) {
  if (show_ == Store::Show::Used && !metric.used) return;
  name_.assign(group_->prefix()).append(separator(*group_)).append(middle).append(name);
  metric.name = name_;
  const TagRules& rules = store_.tag_rules();
  if (!rules.only_defaults()) {
    auto& tagged = cache().tagged;
    auto at = tagged.find(name_);
    if (at == tagged.end()) at = tagged.emplace(name_, rules.apply(name_)).first;
    metric.base_name = at->second.base;
    metric.tags = at->second.tags;
    return visit_(metric);
  }

  // The same as default_tags(name_), most of it computed once per group.
  if (prefix_.base.empty()) {
    prefix_ = default_tags(fmt::format("{}{}x", group_->prefix(), separator(*group_)));
    prefix_.base.pop_back();
  }
  tags_.clear();
  base_.assign(prefix_.base).append(middle).append(name);
  if (!middle.empty() || has_tag_inside(name)) {
    TaggedName whole = default_tags(name_);
    base_ = std::move(whole.base);
    tags_ = std::move(whole.tags);
  } else {
    size_t n = name.size();
    if (n >= 7 && name.substr(n - 7, 4) == "_rq_") {
      if (name.ends_with("xx") && digit(name[n - 3])) {
        tags_.push_back({"envoy.response_code_class", std::string(name.substr(n - 3, 1))});
        base_.erase(base_.size() - 3, 1);
      } else if (digit(name[n - 3]) && digit(name[n - 2]) && digit(name[n - 1])) {
        tags_.push_back({"envoy.response_code", std::string(name.substr(n - 3))});
        base_.erase(base_.size() - 4);
      }
    }
    tags_.insert(tags_.end(), prefix_.tags.begin(), prefix_.tags.end());
  }
  tags_.insert(tags_.end(), rules.fixed().begin(), rules.fixed().end());
  metric.base_name = base_;
  metric.tags = tags_;
  visit_(metric);
}

void Scrape::reset_counters(GroupBase& group) {
  const SchemaInfo& schema = group.schema_;
  if (group.main_ != nullptr) {
    for (auto& number : group.main_->numbers) {
      if (schema.main_stats[number.id].kind == Kind::Counter) number.value = 0;
    }
  }
  SlabViews slabs = slabs_of(group);
  if (slabs.empty()) return;
  if (group.cache_ == nullptr) group.cache_ = std::make_unique<GroupCache>();
  GroupCache& cache = *group.cache_;
  cache.counter_zero.resize(schema.stats.size());
  for (size_t i = schema.gauges; i < schema.stats.size(); ++i) {
    cache.counter_zero[i] = sum(schema, slabs, i).value;
  }
  cache.response_zero.clear();
  for (size_t i = 0; i < schema.response_scopes.size(); ++i) {
    for (const auto& [code, count] : sum_codes(slabs, i)) {
      cache.response_zero.emplace_back(static_cast<uint8_t>(i), code, count);
    }
  }
}

void Scrape::end_interval(GroupBase& group) {
  const size_t histograms = group.schema_.histograms.size();
  if (histograms == 0) return;
  SlabViews slabs = slabs_of(group);
  if (slabs.empty()) return;
  if (group.cache_ == nullptr) group.cache_ = std::make_unique<GroupCache>();
  auto& intervals = group.cache_->intervals;
  intervals.resize(histograms);
  for (size_t i = 0; i < histograms; ++i) {
    HistogramSnapshot now = merge(slabs, i);
    auto& interval = intervals[i];
    interval.last = now;
    if (!interval.at_end.counts.empty()) {
      for (size_t b = 0; b < now.counts.size(); ++b)
        interval.last.counts[b] -= interval.at_end.counts[b];
      interval.last.count -= interval.at_end.count;
      interval.last.sum -= interval.at_end.sum;
    }
    interval.at_end = std::move(now);
  }
}

}  // namespace remora::stats
