// A source of resources over gRPC: keeps one stream to the control plane for ever, carries the
// Mux's messages over it, and comes back with growing pauses when it breaks. Serves ADS (one
// client, all types) and, one client for each subscription, services of their own. Main thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/core.pb.h"
#include "proxy/event/event_loop.h"
#include "proxy/net/config_source.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "xds/backoff.h"
#include "xds/grpc_stream.h"
#include "xds/mux.h"

namespace remora::xds {

using ControlPlaneStats = stats::Group<stats::ControlPlaneSchema>;

struct StreamConfig {
  Variant variant = Variant::Delta;
  Mux::NodeIn node_in = Mux::NodeIn::EveryRequest;
  BackoffLimits backoff;
  GrpcTarget target;
};

/// The stream that `source` (kind Grpc or DeltaGrpc) describes, for ADS.
StreamConfig ads_stream(const ConfigSource& source);
/// The same for the service of one type alone; no path in it when the type has no service.
StreamConfig own_stream(const ConfigSource& source, std::string_view type_url);

class AdsClient final : public Deferrable,
                        public SubscriptionSource,
                        private MuxOwner,
                        private GrpcStreamUser,
                        private EndOfTurn {
 public:
  /// `stats` is the group "control_plane"; may be null.
  AdsClient(WorkerContext& context, StreamConfig config, envoy::config::core::v3::Node node,
            std::shared_ptr<ControlPlaneStats> stats);
  ~AdsClient() override;

  /// Begins to connect. Subscriptions may be made before and after.
  void start();
  /// Ends the stream and makes no other.
  void stop();

  std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                          ResourceConsumer& consumer) override {
    return mux_.subscribe(options, consumer);
  }
  /// For pausing types while several subscriptions of theirs change: Paused hold(client.mux(),
  /// kEndpointType).
  Mux& mux() { return mux_; }
  bool connected() const { return connected_; }

 private:
  void on_request_due() override;
  void end_of_turn() override;
  void on_stream_ready() override;
  bool on_stream_message(GrpcDecoder& decoder, Buffer& input) override;
  void on_stream_closed(const GrpcStatus& status) override;
  template <class Response>
  bool take(GrpcDecoder& decoder, Buffer& input);
  void connect();
  void drop_stream();
  void set_connected(bool connected);
  void log_closed(const GrpcStatus& status, uint64_t retry_in_ms);

  WorkerContext& context_;
  const StreamConfig config_;
  std::shared_ptr<ControlPlaneStats> stats_;
  Mux mux_;
  Backoff backoff_;
  Timer retry_;
  std::unique_ptr<GrpcStream> stream_;
  bool started_ = false;
  bool connected_ = false;
  std::string last_failure_;  // logged once, not with every try
};

}  // namespace remora::xds
