#include "proxy/stats/store.h"

#include <absl/hash/hash.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <utility>

#include "proxy/base/string_map.h"
#include "proxy/stats/scrape.h"

namespace remora::stats {

size_t Store::GroupHash::operator()(const Key& key) const {
  return StringHash()(key.prefix) ^ std::hash<const void*>()(key.schema);
}

absl::StatusOr<std::unique_ptr<Store>> Store::make(StatsConfig config, uint32_t workers) {
  for (const auto& buckets : config.buckets) {
    const auto& bounds = buckets.bounds;
    if (bounds.empty() || bounds.front() <= 0 ||
        std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>()) != bounds.end()) {
      return absl::InvalidArgumentError(
          "histogram buckets must be above zero, ascending, without repetition");
    }
  }
  auto tag_rules = TagRules::make(config);
  if (!tag_rules.ok()) return tag_rules.status();
  return std::unique_ptr<Store>(new Store(std::move(config), *std::move(tag_rules), workers));
}

Store::Store(StatsConfig config, TagRules tag_rules, uint32_t workers)
    : config_(std::move(config)),
      tag_rules_(std::move(tag_rules)),
      workers_(workers),
      default_bounds_(HistogramBounds::defaults()) {
  for (const auto& buckets : config_.buckets) {
    bounds_.emplace_back(buckets.match, std::make_shared<HistogramBounds>(buckets.bounds));
  }
}

Store::~Store() = default;

std::shared_ptr<GroupBase> Store::find(const SchemaInfo& schema, std::string_view prefix) {
  std::lock_guard lock(mutex_);
  auto at = groups_.find(Key{&schema, prefix});
  // Null if the last reference is going on another thread just now.
  return at == groups_.end() ? nullptr : (*at)->weak_from_this().lock();
}

void Store::add(GroupBase& group) {
  std::lock_guard lock(mutex_);
  groups_.erase(&group);  // one of the same name that is being destroyed
  groups_.insert(&group);
}

void Store::remove(GroupBase& group) {
  std::lock_guard lock(mutex_);
  auto at = groups_.find(&group);
  if (at != groups_.end() && *at == &group) groups_.erase(at);
  if (group.children_ != nullptr) children_ -= group.children_->size();
}

GroupBase* Store::find_child(const GroupBase& parent, const SchemaInfo& schema,
                             std::string_view prefix) {
  auto at = groups_.find(Key{&schema, prefix});
  if (at == groups_.end() || parent.children_ == nullptr) return nullptr;
  const auto& children = *parent.children_;
  const bool ours = std::any_of(children.begin(), children.end(),
                                [&](const auto& child) { return child.get() == *at; });
  return ours ? *at : nullptr;
}

bool Store::has_room_for_child(const GroupBase& parent) const {
  return children_ < kMaxChildren &&
         (parent.children_ == nullptr || parent.children_->size() < kMaxChildrenOfGroup);
}

void Store::keep_child(GroupBase& parent, std::shared_ptr<GroupBase> child) {
  using Children = std::vector<std::shared_ptr<GroupBase>>;
  if (parent.children_ == nullptr) parent.children_ = std::make_unique<Children>();
  groups_.erase(child.get());  // one of the same name that is being destroyed
  groups_.insert(child.get());
  parent.children_->push_back(std::move(child));
  ++children_;
}

std::vector<std::shared_ptr<GroupBase>> Store::living_groups() {
  std::vector<std::shared_ptr<GroupBase>> out;
  std::lock_guard lock(mutex_);
  out.reserve(groups_.size());
  for (GroupBase* group : groups_) {
    if (auto living = group->weak_from_this().lock()) out.push_back(std::move(living));
  }
  return out;
}

std::shared_ptr<void> Store::before_scrape(std::function<void()> refresh) {
  auto handle = std::make_shared<std::function<void()>>(std::move(refresh));
  refreshers_.push_back(handle);
  return handle;
}

std::shared_ptr<void> Store::add_collector(std::function<void(Visitor)> collect) {
  auto handle = std::make_shared<std::function<void(Visitor)>>(std::move(collect));
  collectors_.push_back(handle);
  return handle;
}

void Store::scrape(Visitor visit, Show show) {
  std::erase_if(refreshers_, [](const auto& weak) { return weak.expired(); });
  std::erase_if(collectors_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : refreshers_) {
    if (auto refresh = weak.lock()) (*refresh)();
  }
  Scrape scrape(*this, visit, show);
  for (const auto& group : living_groups()) scrape.show(*group);
  for (const auto& weak : collectors_) {
    if (auto collect = weak.lock()) (*collect)(visit);
  }
}

void Store::reset_counters() {
  for (const auto& group : living_groups()) Scrape::reset_counters(*group);
}

void Store::end_interval() {
  for (const auto& group : living_groups()) Scrape::end_interval(*group);
}

bool Store::selected(std::string_view name) const {
  auto matches = [&](const StringPattern& pattern) { return pattern.matches(name); };
  switch (config_.selection) {
    case StatsConfig::Selection::All:
      return true;
    case StatsConfig::Selection::None:
      return false;
    case StatsConfig::Selection::Exclude:
      return std::none_of(config_.patterns.begin(), config_.patterns.end(), matches);
    case StatsConfig::Selection::Include:
      return std::any_of(config_.patterns.begin(), config_.patterns.end(), matches);
  }
  return true;
}

std::shared_ptr<const HistogramBounds> Store::bounds_for(std::string_view histogram_name) const {
  for (const auto& [match, bounds] : bounds_) {
    if (match.matches(histogram_name)) return bounds;
  }
  return default_bounds_;
}

}  // namespace remora::stats
