// Interests, and what a response means to each of them.
#include "xds/watched_type.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "proxy/base/clock.h"
#include "proxy/base/log.h"

namespace remora::xds {

/// One subscription.
struct WatchedType::Watch {
  Watch(TimerWheel& timers, const SubscribeOptions& options, ResourceConsumer& to)
      : consumer(to),
        observer(options.observer),
        wildcard(options.wildcard),
        fetch_timeout(timers, Timer::bind<&Watch::on_fetch_timeout, Watch>(), this) {
    if (observer != nullptr) observer->on_attempt();
    if (options.initial_fetch_timeout_ms > 0) fetch_timeout.arm(options.initial_fetch_timeout_ms);
  }
  void on_fetch_timeout() {
    if (observer != nullptr) observer->on_initial_fetch_timeout();
    consumer.on_initial_fetch_timeout();
  }

  ResourceConsumer& consumer;
  SubscriptionObserver* observer;
  const bool wildcard;
  bool gone = false;
  std::set<std::string> names;
  std::set<std::string> names_to_replay;
  size_t delivery_index = SIZE_MAX;  // while a response is being sorted
  Timer fetch_timeout;
};

class WatchedType::Handle final : public Subscription {
 public:
  Handle(WatchedType& type, WatchPtr watch) : type_(type), watch_(std::move(watch)) {}
  ~Handle() override { type_.drop(*watch_); }
  void set_names(std::vector<std::string> names) override {
    type_.set_names(watch_, std::move(names));
  }

 private:
  WatchedType& type_;
  WatchPtr watch_;
};

WatchedType::WatchedType(std::string type_url, TimerWheel& timers, WatchedTypeOwner& owner)
    : type_url_(std::move(type_url)),
      timers_(timers),
      owner_(owner),
      replay_(timers, Timer::bind<&WatchedType::replay, WatchedType>(), this),
      expiry_(timers, Timer::bind<&WatchedType::expire, WatchedType>(), this) {}

WatchedType::~WatchedType() = default;

// -------------------------------------------------------------------------------------- interests

std::unique_ptr<Subscription> WatchedType::subscribe(const SubscribeOptions& options,
                                                     ResourceConsumer& consumer) {
  auto watch = std::make_shared<Watch>(timers_, options, consumer);
  if (options.wildcard) {
    wildcards_.push_back(watch);
    for (const auto& [name, held] : held_) watch->names_to_replay.insert(name);
    if (!watch->names_to_replay.empty()) {
      to_replay_.insert(watch);
      replay_.arm(0);
    }
  } else {
    add_names(watch, options.names);
  }
  owner_.on_interest_changed();
  return std::make_unique<Handle>(*this, std::move(watch));
}

void WatchedType::add_names(const WatchPtr& watch, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!watch->names.insert(name).second) continue;
    by_name_[name].push_back(watch);
    if (!held_.contains(name)) continue;
    watch->names_to_replay.insert(name);
    to_replay_.insert(watch);
    replay_.arm(0);
  }
}

void WatchedType::drop_names(Watch& watch, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    watch.names.erase(name);
    watch.names_to_replay.erase(name);
    const auto entry = by_name_.find(name);
    std::erase_if(entry->second, [&](const WatchPtr& w) { return w.get() == &watch; });
    if (entry->second.empty()) by_name_.erase(entry);
  }
}

void WatchedType::set_names(const WatchPtr& watch, std::vector<std::string> names) {
  std::vector<std::string> dropped;
  const std::set<std::string> wanted(names.begin(), names.end());
  std::set_difference(watch->names.begin(), watch->names.end(), wanted.begin(), wanted.end(),
                      std::back_inserter(dropped));
  drop_names(*watch, dropped);
  add_names(watch, names);
  owner_.on_interest_changed();
}

void WatchedType::drop(Watch& watch) {
  watch.gone = true;
  watch.fetch_timeout.disarm();
  drop_names(watch, {watch.names.begin(), watch.names.end()});
  const auto is_it = [&](const WatchPtr& w) { return w.get() == &watch; };
  std::erase_if(wildcards_, is_it);
  std::erase_if(to_replay_, is_it);
  owner_.on_interest_changed();
}

std::vector<std::string> WatchedType::names() const {
  std::vector<std::string> all;
  all.reserve(by_name_.size());
  for (const auto& [name, watches] : by_name_) all.push_back(name);
  std::sort(all.begin(), all.end());
  return all;
}

std::map<std::string, std::string> WatchedType::versions() const {
  std::map<std::string, std::string> all;
  for (const auto& [name, held] : held_) {
    if (wants(name)) all.emplace(name, held.version);
  }
  return all;
}

void WatchedType::forget_unwanted() {
  absl::erase_if(held_, [&](const auto& entry) { return !wants(entry.first); });
}

// -------------------------------------------------------------------------------------- responses

WatchedType::Hash WatchedType::hash_of(const google::protobuf::Any& body) {
  const uint64_t seed = XXH3_64bits(body.type_url().data(), body.type_url().size());
  const XXH128_hash_t hash = XXH3_128bits_withSeed(body.value().data(), body.value().size(), seed);
  return {hash.low64, hash.high64};
}

WatchedType::Delivery& WatchedType::delivery_for(Deliveries& all, const WatchPtr& watch) {
  if (watch->delivery_index == SIZE_MAX) {
    watch->delivery_index = all.size();
    all.emplace_back(watch, Delivery());
  }
  return all[watch->delivery_index].second;
}

/// Everybody who wants `name` hears of it. Of an unchanged resource, that it was mentioned; those
/// to whom it is new get it from what is held.
void WatchedType::address(Deliveries& all, const std::string& name, const ResourcePtr* added,
                          bool removed) {
  const auto to = [&](const WatchPtr& watch) {
    Delivery& delivery = delivery_for(all, watch);
    const bool is_new_to_it = watch->names_to_replay.erase(name) > 0;
    if (removed) {
      delivery.removed.push_back(name);
    } else if (added != nullptr) {
      delivery.added.push_back(*added);
    } else if (is_new_to_it) {
      delivery.added.push_back(held_.find(name)->second.resource);
    }
  };
  for (const WatchPtr& watch : wildcards_) to(watch);
  const auto named = by_name_.find(name);
  if (named == by_name_.end()) return;
  for (const WatchPtr& watch : named->second) to(watch);
}

std::vector<Reject> WatchedType::apply(std::vector<Received> resources,
                                       std::vector<std::string> removed, std::string_view version,
                                       Completeness completeness) {
  struct Candidate {
    ResourcePtr resource;
    Hash hash;
    const Received* received;
  };
  last_version_ = version;
  Deliveries all;
  // A response always concerns those who want everything: "there is nothing" is an answer too.
  for (const WatchPtr& watch : wildcards_) delivery_for(all, watch);
  std::vector<Reject> rejects;
  std::vector<Candidate> candidates;
  StringSet mentioned;
  for (Received& received : resources) {
    if (!mentioned.insert(received.name).second) {
      rejects.push_back({received.name, "is twice in the response"});
      continue;
    }
    if (!wants(received.name)) continue;
    const auto held = held_.find(received.name);
    const Hash hash = hash_of(received.body);
    const bool same = held != held_.end() && (!received.has_body || held->second.hash == hash);
    if (same) renew(held->second, received);
    if (same || !received.has_body) {
      address(all, received.name, nullptr, false);
      continue;
    }
    Candidate& candidate = candidates.emplace_back();
    candidate.resource = std::make_shared<const Resource>(
        Resource{received.name, received.version, std::move(received.body)});
    candidate.hash = hash;
    candidate.received = &received;
    address(all, received.name, &candidate.resource, false);
  }
  if (completeness == Completeness::Complete) {
    for (const auto& [name, held] : held_) {
      if (!mentioned.contains(name)) removed.push_back(name);
    }
    std::sort(removed.begin(), removed.end());
  }
  for (const std::string& name : removed) {
    address(all, name, nullptr, true);
    held_.erase(name);
  }
  for (Reject& reject : deliver(all, version)) rejects.push_back(std::move(reject));
  StringSet rejected;
  for (const Reject& reject : rejects) rejected.insert(reject.resource);
  for (const Candidate& candidate : candidates) {
    if (!rejected.contains(candidate.resource->name)) {
      keep(candidate.resource, candidate.hash, *candidate.received);
    }
  }
  arm_expiry();
  return rejects;
}

void WatchedType::keep(const ResourcePtr& resource, const Hash& hash, const Received& received) {
  if (!wants(received.name)) return;  // given up while it was delivered
  Held& held = held_[received.name];
  held.resource = resource;
  held.hash = hash;
  renew(held, received);
}

void WatchedType::renew(Held& held, const Received& received) {
  if (received.has_body) held.version = received.version;
  held.expires_at = received.ttl_ms ? timers_.now() + *received.ttl_ms : kNever;
  if (received.ttl_ms) some_expire_ = true;
}

std::vector<Reject> WatchedType::deliver(Deliveries& all, std::string_view version) {
  for (auto& [watch, delivery] : all) watch->delivery_index = SIZE_MAX;
  std::vector<Reject> rejects;
  for (auto& [watch, delivery] : all) {
    if (watch->gone) continue;
    for (Reject& reject : deliver_to(*watch, delivery, version))
      rejects.push_back(std::move(reject));
  }
  return rejects;
}

std::vector<Reject> WatchedType::deliver_to(Watch& watch, const Delivery& delivery,
                                            std::string_view version) {
  watch.fetch_timeout.disarm();
  const uint64_t began = monotonic_now_ms();
  std::vector<Reject> rejects =
      watch.consumer.on_resources({delivery.added, delivery.removed, version});
  if (watch.gone || watch.observer == nullptr) return rejects;
  const uint64_t took = monotonic_now_ms() - began;
  if (rejects.empty()) {
    watch.observer->on_success(version, XXH64(version.data(), version.size(), 0),
                               static_cast<uint64_t>(timers_.time().wall_ns) / 1'000'000, took);
  } else {
    watch.observer->on_rejected(took);
  }
  watch.observer->on_attempt();  // waiting for the next one begins
  return rejects;
}

std::set<WatchedType::WatchPtr> WatchedType::all_watches() const {
  std::set<WatchPtr> all(wildcards_.begin(), wildcards_.end());
  for (const auto& [name, watches] : by_name_) all.insert(watches.begin(), watches.end());
  return all;
}

void WatchedType::apply_unusable() {
  for (const WatchPtr& watch : all_watches()) {
    if (watch->observer == nullptr) continue;
    watch->observer->on_rejected(0);
    watch->observer->on_attempt();
  }
}

void WatchedType::source_failed() {
  for (const WatchPtr& watch : all_watches()) {
    if (watch->observer == nullptr) continue;
    watch->observer->on_failure();
    watch->observer->on_attempt();
  }
}

// ------------------------------------------------------------------------------------------ timers

/// What is held already, for those who came later.
void WatchedType::replay() {
  const std::set<WatchPtr> watches = std::exchange(to_replay_, {});
  for (const WatchPtr& watch : watches) {
    Delivery delivery;
    for (const std::string& name : std::exchange(watch->names_to_replay, {})) {
      const auto held = held_.find(name);
      if (held != held_.end()) delivery.added.push_back(held->second.resource);
    }
    if (delivery.added.empty() || watch->gone) continue;
    for (const Reject& reject : deliver_to(*watch, delivery, last_version_)) {
      LOG_WARNING(config, "{}: {}: {}", type_url_, reject.resource, reject.reason);
    }
  }
}

void WatchedType::expire() {
  std::vector<std::string> expired;
  for (const auto& [name, held] : held_) {
    if (held.expires_at <= timers_.now()) expired.push_back(name);
  }
  std::sort(expired.begin(), expired.end());
  Deliveries all;
  for (const std::string& name : expired) {
    LOG_WARNING(config, "{}: {} has outlived its time to live", type_url_, name);
    held_.erase(name);
    address(all, name, nullptr, true);
  }
  deliver(all, last_version_);
  arm_expiry();
}

void WatchedType::arm_expiry() {
  if (!some_expire_) return;
  MonotonicMs first = kNever;
  for (const auto& [name, held] : held_) first = std::min(first, held.expires_at);
  some_expire_ = first != kNever;
  if (some_expire_) {
    expiry_.arm(first - std::min(first, timers_.now()));
  } else {
    expiry_.disarm();
  }
}

}  // namespace remora::xds
