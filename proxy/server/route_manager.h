// Route configurations that RDS brings, by name: one subscription per name however many connection
// managers use it. Owned by the Server; main thread only. Document: "xDS protocol", RDS.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "api/route.pb.h"
#include "proxy/base/clock.h"
#include "proxy/net/config_source.h"
#include "proxy/router/route_table.h"
#include "proxy/server/cluster_manager.h"
#include "proxy/server/kept_message.h"
#include "proxy/server/publisher.h"
#include "xds/config_sources.h"
#include "xds/translate/context.h"

namespace remora::server {

class RouteManager {
 public:
  struct Entry {
    std::shared_ptr<const router::RouteTable> table;  // null until it came
    Kept<envoy::config::route::v3::RouteConfiguration> proto;
    std::string version;
    WallNs updated_at = 0;
    bool settled = false;  // came, or is known not to come in time: nobody waits for it any more
  };

  RouteManager(Publisher& publisher, ClusterManager& clusters, xds::translate::Context& context,
               xds::ConfigSources& sources);
  ~RouteManager();

  /// Wants these route configurations and no others; starts and ends subscriptions accordingly.
  void set_wanted(const std::vector<ResourceRef>& wanted);
  bool settled(const std::string& name) const;
  /// Called whenever a name gets settled.
  void set_on_settled(std::function<void()> callback) { on_settled_ = std::move(callback); }

  std::map<std::string, const Entry*> entries() const;

 private:
  class Watch;

  Publisher& publisher_;
  ClusterManager& clusters_;
  xds::translate::Context& context_;
  xds::ConfigSources& sources_;
  std::map<std::string, std::unique_ptr<Watch>> watches_;
  std::function<void()> on_settled_;
};

}  // namespace remora::server
