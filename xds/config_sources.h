// Every place that resources come from, behind one door: the ADS stream, streams of their own,
// files. Owned by the Server; main thread; outlives all subscriptions.
#pragma once

#include <memory>
#include <utility>
#include <vector>

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

  /// The bootstrap has ads_config (kind Grpc or DeltaGrpc). At most once, before of().
  void set_ads(const ConfigSource& ads_config);
  /// Connects, once the control plane's cluster exists.
  void start_ads();
  /// Null without ads_config.
  AdsClient* ads() { return ads_.get(); }
  bool ads_connected() const { return ads_ != nullptr && ads_->connected(); }

  /// The source that `source` names, made at first use. As in Envoy, each subscription to a gRPC
  /// source that is not ADS has a stream of its own; and so each to a file its own watch. A source
  /// that does not exist (ADS without ads_config, a type without a service) is logged and stays
  /// silent.
  SubscriptionSource& of(const ConfigSource& source);

 private:
  class OwnStreams;
  class Files;

  WorkerContext& context_;
  const envoy::config::core::v3::Node node_;
  std::shared_ptr<ControlPlaneStats> stats_;
  std::unique_ptr<AdsClient> ads_;
  std::unique_ptr<SubscriptionSource> nowhere_;  // for ADS without ads_config
  std::vector<std::pair<ConfigSource, std::unique_ptr<SubscriptionSource>>> others_;
};

}  // namespace remora::xds
