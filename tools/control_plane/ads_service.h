// The aggregated discovery service on gRPC: keeps every connected sidecar at the published
// catalogue. gRPC's threads call in; one mutex guards the catalogue and all streams.
#pragma once

#include <memory>
#include <mutex>
#include <set>

#include "api/ads.grpc.pb.h"
#include "tools/control_plane/catalogue.h"
#include "tools/control_plane/view.h"

namespace remora::control_plane {

// One open stream, of either variant.
class AdsStream {
 public:
  virtual ~AdsStream() = default;
  virtual void catalogue_changed() = 0;  // called with the service's mutex held
};

class AdsService final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  AdsService(std::shared_ptr<const Catalogue> catalogue, ViewOptions options)
      : catalogue_(std::move(catalogue)), options_(options) {}

  // From now on sidecars are told of this catalogue; the connected ones at once.
  void publish(std::shared_ptr<const Catalogue> catalogue);

  grpc::ServerBidiReactor<envoy::service::discovery::v3::DiscoveryRequest,
                          envoy::service::discovery::v3::DiscoveryResponse>*
  StreamAggregatedResources(grpc::CallbackServerContext* context) override;

  grpc::ServerBidiReactor<envoy::service::discovery::v3::DeltaDiscoveryRequest,
                          envoy::service::discovery::v3::DeltaDiscoveryResponse>*
  DeltaAggregatedResources(grpc::CallbackServerContext* context) override;

  // For streams; `mutex` is held around all but the constructor and destructor of a stream.
  std::mutex mutex;
  View view_for(const NodeIdentity& node) const { return build_view(*catalogue_, node, options_); }
  void opened(AdsStream& stream) { streams_.insert(&stream); }
  void closed(AdsStream& stream) { streams_.erase(&stream); }

 private:
  std::shared_ptr<const Catalogue> catalogue_;
  const ViewOptions options_;
  std::set<AdsStream*> streams_;
};

}  // namespace remora::control_plane
