// Every place that resources come from, behind one door: the ADS stream, streams of their own,
// files. Owned by the Server; main thread; outlives all subscriptions.
#pragma once

#include <absl/status/statusor.h>

#include <memory>

#include "api/core.pb.h"
#include "proxy/net/config_source.h"
#include "proxy/upstream/worker_context.h"
#include "xds/ads_client.h"
#include "xds/subscription.h"

namespace remora::xds {

class ConfigSources {
 public:
  /// `node` as make_node() gives it; `stats` is the group "control_plane" and may be null.
  ConfigSources(WorkerContext& context, envoy::config::core::v3::Node node,
                std::shared_ptr<ControlPlaneStats> stats);
  ~ConfigSources();

  /// The bootstrap has ads_config. start_ads() connects, once the cluster exists.
  void set_ads(const ConfigSource& source);
  void start_ads();
  /// Null without ads_config.
  AdsClient* ads() { return ads_.get(); }

  /// Subscribes where `source` says, with its initial_fetch_timeout. Fails when there is no such
  /// source: ADS without ads_config, or a type that has no service of its own.
  absl::StatusOr<std::unique_ptr<Subscription>> subscribe(const ConfigSource& source,
                                                          SubscribeOptions options,
                                                          ResourceConsumer& consumer);

 private:
  WorkerContext& context_;
  const envoy::config::core::v3::Node node_;
  std::shared_ptr<ControlPlaneStats> stats_;
  std::unique_ptr<AdsClient> ads_;
};

}  // namespace remora::xds
