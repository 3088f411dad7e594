// All that is subscribed to and known of one type of resource: who wants which names, what was
// accepted last, what has changed. Knows nothing of the protocol the resources come by. Owned by a
// Mux or a file subscription; main thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/base/timer_wheel.h"
#include "xds/subscription.h"

namespace remora::xds {

/// A resource as a response carries it. Move `body` in.
struct Received {
  std::string name;
  std::string version;
  google::protobuf::Any body;
  bool has_body = true;  // without: only the time to live is renewed
  std::optional<uint64_t> ttl_ms;
};

/// Hears that the wanted names changed; a request may be due.
class WatchedTypeOwner {
 public:
  virtual void on_interest_changed() = 0;

 protected:
  ~WatchedTypeOwner() = default;
};

class WatchedType {
 public:
  WatchedType(std::string type_url, TimerWheel& timers, WatchedTypeOwner& owner);
  ~WatchedType();
  WatchedType(const WatchedType&) = delete;
  WatchedType& operator=(const WatchedType&) = delete;

  const std::string& type_url() const { return type_url_; }
  std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                          ResourceConsumer& consumer);

  // --- what is wanted ---
  bool wildcard() const { return !wildcards_.empty(); }
  bool wanted() const { return wildcard() || !by_name_.empty(); }
  bool wants(std::string_view name) const {
    return wildcard() || by_name_.find(name) != by_name_.end();
  }
  /// Names that somebody wants, each once, in order.
  std::vector<std::string> names() const;

  // --- what came ---
  enum class Completeness : uint8_t {
    Partial,   // what is not mentioned stays
    Complete,  // what is not mentioned is gone
  };
  /// Hands a response to those whom it concerns. Answers what they cannot honour.
  std::vector<Reject> apply(std::vector<Received> resources, std::vector<std::string> removed,
                            std::string_view version, Completeness completeness);
  /// The whole response was unusable, whoever it was for.
  void apply_unusable();
  /// The source lost its way to the control plane.
  void source_failed();
  /// What is held, with the versions that it came with: for initial_resource_versions.
  std::map<std::string, std::string> versions() const;
  /// Forgets what nobody wants any more. Called once the control plane has been told.
  void forget_unwanted();

 private:
  struct Watch;
  class Handle;
  using Hash = std::array<uint64_t, 2>;
  struct Held {
    ResourcePtr resource;
    Hash hash;
    std::string version;
    MonotonicMs expires_at;  // kNever: lives until it is removed
  };
  struct Delivery {
    std::vector<ResourcePtr> added;
    std::vector<std::string> removed;
  };
  using WatchPtr = std::shared_ptr<Watch>;
  using Deliveries = std::vector<std::pair<WatchPtr, Delivery>>;
  static constexpr MonotonicMs kNever = UINT64_MAX;

  void add_names(const WatchPtr& watch, const std::vector<std::string>& names);
  void drop_names(Watch& watch, const std::vector<std::string>& names);
  void set_names(const WatchPtr& watch, std::vector<std::string> names);
  void drop(Watch& watch);
  void replay();
  void expire();
  void arm_expiry();

  Delivery& delivery_for(Deliveries& all, const WatchPtr& watch);
  void address(Deliveries& all, const std::string& name, const ResourcePtr* added, bool removed);
  std::vector<Reject> deliver(Deliveries& all, std::string_view version);
  std::vector<Reject> deliver_to(Watch& watch, const Delivery& delivery, std::string_view version);
  static Hash hash_of(const google::protobuf::Any& body);
  void keep(const ResourcePtr& resource, const Hash& hash, const Received& received);
  void renew(Held& held, const Received& received);
  std::set<WatchPtr> all_watches() const;

  const std::string type_url_;
  TimerWheel& timers_;
  WatchedTypeOwner& owner_;
  std::vector<WatchPtr> wildcards_;
  StringMap<std::vector<WatchPtr>> by_name_;
  StringMap<Held> held_;
  std::string last_version_;
  std::set<WatchPtr> to_replay_;
  bool some_expire_ = false;
  Timer replay_;
  Timer expiry_;
};

}  // namespace remora::xds
