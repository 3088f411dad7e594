// Shows one group's metrics, merged over threads. Private to this room; main thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stats/group.h"
#include "proxy/stats/group_cache.h"
#include "proxy/stats/store.h"

namespace remora::stats {

class Scrape {
 public:
  Scrape(const Store& store, Store::Visitor visit, Store::Show show)
      : store_(store), visit_(visit), show_(show) {}

  void show(GroupBase& group);

  static void reset_counters(GroupBase& group);
  static void end_interval(GroupBase& group);

 private:
  struct Number {
    uint64_t value = 0;
    bool used = false;
  };
  using SlabViews =
      std::vector<std::pair<uint32_t, SlabView>>;  // (index, slab) of the threads that have one
  using CodeCounts = std::vector<std::pair<uint16_t, uint64_t>>;

  void show_stats();
  void show_main_stats();
  void show_histograms();
  void show_per_worker(size_t stat);
  void show_responses();
  void show_scope(std::string_view scope, const CodeCounts& counts);

  /// Calls visit_ with `metric` completed by its name and tags: prefix + "." + middle + name.
  void emit(Metric metric, std::string_view middle, std::string_view name);
  bool selected(std::string_view name) const;
  /// stats_matcher's answer for the next metric of the schema.
  bool next_selected(std::string_view name);
  bool anything_selected() const;
  GroupCache& cache();

  static SlabViews slabs_of(const GroupBase& group);
  static Number sum(const SchemaInfo& schema, const SlabViews& slabs, size_t stat);
  static CodeCounts sum_codes(const SlabViews& slabs, size_t scope);
  static HistogramSnapshot merge(const SlabViews& slabs, size_t histogram);

  const Store& store_;
  Store::Visitor visit_;
  Store::Show show_;

  // Of the group being shown.
  GroupBase* group_ = nullptr;
  SlabViews slabs_;
  TaggedName prefix_;    // what is before a metric's own name, by the default rules; empty: not yet
                         // asked for
  size_t position_ = 0;  // in the cached answers of stats_matcher
  bool selecting_ = false, asking_ = false;
  std::string name_, base_;
  std::vector<Tag> tags_;
};

}  // namespace remora::stats
