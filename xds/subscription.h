// What a user of xDS resources sees: it subscribes to a type of resource by names or as a whole,
// hears what changed, and answers which of it cannot be honoured. How resources come (the ADS
// stream, a stream of their own, a file) is behind SubscriptionSource. Main thread. CONTRACT.
#pragma once

#include <google/protobuf/any.pb.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace remora::xds {

// clang-format off
inline constexpr std::string_view kClusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
inline constexpr std::string_view kEndpointType = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
inline constexpr std::string_view kListenerType = "type.googleapis.com/envoy.config.listener.v3.Listener";
inline constexpr std::string_view kRouteType = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
inline constexpr std::string_view kSecretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
// clang-format on

/// One resource as it came. Shared, so that whoever keeps it for a configuration dump costs no
/// copy.
struct Resource {
  std::string name;
  std::string version;  // may be empty: some control planes version only the response
  google::protobuf::Any body;
};
using ResourcePtr = std::shared_ptr<const Resource>;

/// What one response means to one subscription.
struct Update {
  /// New resources and those whose content differs from what was accepted before. A resource that
  /// was rejected is offered again whenever it comes, changed or not.
  std::span<const ResourcePtr> added;
  /// Resources that are gone, or (by name) known not to exist. State of the world: computed for
  /// clusters and listeners, whose responses are complete; never for the other types.
  std::span<const std::string> removed;
  /// Of the response: system_version_info or version_info.
  std::string_view version;
};

/// A resource that cannot be honoured. `reason` begins with the field path:
/// "filter_chains[0].filters[1]: unknown type ...". The control plane reads "RESOURCE: REASON" in
/// error_detail.
struct Reject {
  std::string resource;
  std::string reason;
};

/// Applies resources. Calls come from the loop, never from inside a call to the subscription.
class ResourceConsumer {
 public:
  /// A response that concerns the subscription. What is not mentioned stays as it is; nothing
  /// mentioned at all means that the control plane has answered and nothing changed (after a first
  /// request: there is nothing). Good resources are applied although others are rejected; what is
  /// rejected keeps its last good configuration.
  virtual std::vector<Reject> on_resources(const Update& update) = 0;
  /// No answer within initial_fetch_timeout; called at most once, and never after on_resources().
  /// The subscription goes on waiting.
  virtual void on_initial_fetch_timeout() = 0;

 protected:
  ~ResourceConsumer() = default;
};

/// Hears what a subscription counts, for the statistics of whoever subscribed
/// ("cluster_manager.cds.", "cluster.NAME.", "http.PREFIX.rds.NAME."). Times are wall-clock
/// milliseconds and durations of on_resources() in milliseconds.
class SubscriptionObserver {
 public:
  virtual void on_attempt() {}                // update_attempt
  virtual void on_failure() {}                // update_failure: stream lost, file unreadable
  virtual void on_initial_fetch_timeout() {}  // init_fetch_timeout
  /// update_rejected, and update_duration. The last accepted version stays what it was.
  virtual void on_rejected(uint64_t duration_ms) {}
  /// update_success, version, version_text, update_time, update_duration.
  virtual void on_success(std::string_view version, uint64_t version_hash, uint64_t time_ms,
                          uint64_t duration_ms) {}

 protected:
  ~SubscriptionObserver() = default;
};

struct SubscribeOptions {
  std::string type_url;
  bool wildcard = false;                      // everything there is: clusters and listeners
  std::vector<std::string> names;             // when not wildcard
  uint64_t initial_fetch_timeout_ms = 15000;  // 0: wait for ever
  SubscriptionObserver* observer = nullptr;   // outlives the subscription
};

/// An interest in resources; destroying it gives the interest up.
class Subscription {
 public:
  virtual ~Subscription() = default;
  /// Wants exactly these from now on. Requests leave at the end of the turn, all changes of a turn
  /// in one.
  virtual void set_names(std::vector<std::string> names) = 0;
};

/// Where resources come from.
class SubscriptionSource {
 public:
  virtual ~SubscriptionSource() = default;
  /// `consumer` outlives the subscription. A resource that the source already holds is delivered
  /// from the loop soon after, without asking the control plane.
  virtual std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                                  ResourceConsumer& consumer) = 0;
};

}  // namespace remora::xds
