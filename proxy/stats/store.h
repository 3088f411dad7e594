// All groups of the process, and the scrape over them. Owned by the server; main thread, except
// that groups may be let go of on any thread. Outlives all groups.
#pragma once

#include <absl/container/flat_hash_set.h>
#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stats/config.h"
#include "proxy/stats/group.h"
#include "proxy/stats/tags.h"

namespace remora::stats {

/// One metric as a scrape shows it; views live for the call.
struct Metric {
  std::string_view name;       // "cluster.foo.upstream_rq_200"
  std::string_view base_name;  // tags taken out: "cluster.upstream_rq"
  std::span<const Tag> tags;
  Kind kind = Kind::Counter;   // Gauge, Counter, Histogram or Text
  bool own_namespace = false;  // Prometheus name gets no "envoy_"
  bool used = false;  // ever written (gauges), above zero (counters), recorded (histograms)
  uint64_t value = 0;
  std::string_view text;
  const HistogramSnapshot* histogram = nullptr;  // since the start
  const HistogramSnapshot* interval = nullptr;   // in the last whole interval; may be empty
};

class Store {
 public:
  static absl::StatusOr<std::unique_ptr<Store>> make(StatsConfig config, uint32_t workers);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  uint32_t workers() const { return workers_; }
  /// Slab index of the main thread.
  uint32_t main_index() const { return workers_; }

  /// The group of that schema and prefix ("cluster.foo", see names.h): the living one, or a new
  /// one.
  template <class Schema>
  std::shared_ptr<Group<Schema>> group(std::string_view prefix) {
    if (auto living = find(kSchemaInfo<Schema>, prefix)) {
      return std::static_pointer_cast<Group<Schema>>(std::move(living));
    }
    auto group = std::make_shared<Group<Schema>>(*this, prefix);
    add(*group);
    return group;
  }

  /// A group that comes into being by what a client sends: that of `prefix`, kept as long as
  /// `parent` is. Null when there are too many, of the parent or in all. Any thread; takes a lock,
  /// so keep the answer. Without a bound: for what comes once with its parent.
  enum class Bound : uint8_t { Limited, None };
  template <class Schema>
  Group<Schema>* child_group(GroupBase& parent, std::string_view prefix,
                             Bound bound = Bound::Limited) {
    std::lock_guard lock(mutex_);
    if (GroupBase* child = find_child(parent, kSchemaInfo<Schema>, prefix)) {
      return static_cast<Group<Schema>*>(child);
    }
    if (bound == Bound::Limited && !has_room_for_child(parent)) return nullptr;
    auto child = std::make_shared<Group<Schema>>(*this, prefix);
    keep_child(parent, child);
    return child.get();
  }
  static constexpr size_t kMaxChildrenOfGroup = 256;
  static constexpr size_t kMaxChildren = 4096;

  /// Calls `refresh` before each scrape, for values that are computed when asked for (uptime, open
  /// circuit breakers). It goes with the handle that is returned.
  [[nodiscard]] std::shared_ptr<void> before_scrape(std::function<void()> refresh);
  /// Calls `collect` in each scrape: it may show metrics that no schema knows. It goes with the
  /// handle.
  using Visitor = absl::FunctionRef<void(const Metric&)>;
  [[nodiscard]] std::shared_ptr<void> add_collector(std::function<void(Visitor)> collect);

  /// Shows every metric that stats_matcher lets through, in no order. Collectors may show unused
  /// metrics nevertheless.
  enum class Show : uint8_t { All, Used };
  void scrape(Visitor visit, Show show = Show::All);
  /// Counters start again from zero (POST /reset_counters).
  void reset_counters();
  /// Ends the interval of which /stats shows quantiles; called each stats_flush_interval.
  void end_interval();

  /// Whether a metric of that name would be shown (for collectors).
  bool selected(std::string_view name) const;
  /// Whether stats_matcher hides anything.
  bool selects() const { return config_.selection != StatsConfig::Selection::All; }
  const TagRules& tag_rules() const { return tag_rules_; }

 private:
  friend class GroupBase;
  friend class Scrape;
  struct Key {
    const SchemaInfo* schema;
    std::string_view prefix;
  };
  struct GroupHash {
    using is_transparent = void;
    size_t operator()(const Key& key) const;
    size_t operator()(const GroupBase* group) const {
      return (*this)(Key{&group->schema(), group->prefix()});
    }
  };
  struct GroupEq {
    using is_transparent = void;
    static Key key(const Key& k) { return k; }
    static Key key(const GroupBase* g) { return {&g->schema(), g->prefix()}; }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      Key x = key(a), y = key(b);
      return x.schema == y.schema && x.prefix == y.prefix;
    }
  };

  Store(StatsConfig config, TagRules tag_rules, uint32_t workers);
  std::shared_ptr<GroupBase> find(const SchemaInfo& schema, std::string_view prefix);
  void add(GroupBase& group);
  void remove(GroupBase& group);
  std::vector<std::shared_ptr<GroupBase>> living_groups();
  // Under the lock.
  GroupBase* find_child(const GroupBase& parent, const SchemaInfo& schema, std::string_view prefix);
  bool has_room_for_child(const GroupBase& parent) const;
  void keep_child(GroupBase& parent, std::shared_ptr<GroupBase> child);
  std::shared_ptr<const HistogramBounds> bounds_for(std::string_view histogram_name) const;

  const StatsConfig config_;
  const TagRules tag_rules_;
  const uint32_t workers_;
  std::vector<std::pair<StringPattern, std::shared_ptr<const HistogramBounds>>> bounds_;
  std::shared_ptr<const HistogramBounds> default_bounds_;
  std::mutex mutex_;  // of groups_: the last reference to a group may go on a worker
  absl::flat_hash_set<GroupBase*, GroupHash, GroupEq> groups_;
  size_t children_ = 0;  // how many groups are another's
  std::vector<std::weak_ptr<std::function<void()>>> refreshers_;
  std::vector<std::weak_ptr<std::function<void(Visitor)>>> collectors_;
};

}  // namespace remora::stats
