// Connecting, reconnecting, and carrying messages.
#include "xds/ads_client.h"

#include <absl/strings/ascii.h>

#include <utility>

#include "proxy/base/log.h"

namespace remora::xds {
namespace {

using stats::ControlPlaneMainStat;

StreamConfig stream_to(const ConfigSource& source) {
  StreamConfig config;
  config.variant =
      source.kind == ConfigSource::Kind::DeltaGrpc ? Variant::Delta : Variant::StateOfTheWorld;
  config.node_in =
      source.set_node_on_first_message_only ? Mux::NodeIn::FirstRequest : Mux::NodeIn::EveryRequest;
  config.target.cluster = source.cluster;
  for (const auto& [name, value] : source.initial_metadata) {
    if (name == ":authority") {
      config.target.authority = value;
    } else {
      config.target.initial_metadata.emplace_back(absl::AsciiStrToLower(name), value);
    }
  }
  return config;
}

struct Service {
  std::string_view type_url;
  const char* service;
  const char* resources;
};
constexpr Service kServices[] = {
    {kClusterType, "envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters"},
    {kEndpointType, "envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints"},
    {kListenerType, "envoy.service.listener.v3.ListenerDiscoveryService", "Listeners"},
    {kRouteType, "envoy.service.route.v3.RouteDiscoveryService", "Routes"},
    {kSecretType, "envoy.service.secret.v3.SecretDiscoveryService", "Secrets"},
    {kSecretType, "envoy.service.secret.v3.SecretDiscoveryService", "Secrets"},
};

}  // namespace

StreamConfig ads_stream(const ConfigSource& source) {
  StreamConfig config = stream_to(source);
  config.target.path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";
  config.target.path +=
      config.variant == Variant::Delta ? "DeltaAggregatedResources" : "StreamAggregatedResources";
  return config;
}

StreamConfig own_stream(const ConfigSource& source, std::string_view type_url) {
  StreamConfig config = stream_to(source);
  for (const Service& service : kServices) {
    if (service.type_url != type_url) continue;
    config.target.path = std::string("/") + service.service +
                         (config.variant == Variant::Delta ? "/Delta" : "/Stream") +
                         service.resources;
  }
  return config;
}

AdsClient::AdsClient(WorkerContext& context, StreamConfig config,
                     envoy::config::core::v3::Node node, std::shared_ptr<ControlPlaneStats> stats)
    : context_(context),
      config_(std::move(config)),
      stats_(std::move(stats)),
      mux_(config_.variant, std::move(node), config_.node_in, context.timers(), *this),
      backoff_(config_.backoff),
      retry_(context.timers(), Timer::bind<&AdsClient::connect, AdsClient>(), this) {}

AdsClient::~AdsClient() { stop(); }

void AdsClient::start() {
  started_ = true;
  set_connected(false);
  connect();
}

void AdsClient::stop() {
  started_ = false;
  retry_.disarm();
  drop_stream();
}

void AdsClient::connect() {
  GrpcStreamUser& user = *this;
  stream_ = std::make_unique<GrpcStream>(context_, config_.target, user);
  stream_->open();
}

void AdsClient::drop_stream() {
  if (stream_ == nullptr) return;
  stream_->close();
  context_.loop().defer_delete(std::move(stream_));
  set_connected(false);
}

void AdsClient::set_connected(bool connected) {
  connected_ = connected;
  if (stats_ != nullptr) stats_->set(ControlPlaneMainStat::connected_state, connected ? 1 : 0);
}

// ---------------------------------------------------------------------------------------- sending

void AdsClient::on_request_due() {
  if (connected_) context_.loop().at_end_of_turn(*this);
}

void AdsClient::end_of_turn() {
  if (!connected_) return;
  while (auto request = mux_.next_request()) {
    LOG_TRACE(config, "{}: sends {}", config_.target.cluster, request->ShortDebugString());
    stream_->send(*request);
  }
}

// ----------------------------------------------------------------------------- hearing of the
// stream

void AdsClient::on_stream_ready() {
  LOG_DEBUG(config, "{}: stream to {} opened", config_.target.path, config_.target.cluster);
  set_connected(true);
  mux_.stream_started();
  on_request_due();
}

template <class Response>
bool AdsClient::take(GrpcDecoder& decoder, Buffer& input) {
  Response response;
  if (!decoder.parse(input, &response)) return false;
  LOG_DEBUG(config, "{}: {} {} with nonce {}", config_.target.cluster, response.resources_size(),
            response.type_url(), response.nonce());
  if (stats_ != nullptr && response.has_control_plane()) {
    stats_->set_text(ControlPlaneMainStat::identifier, response.control_plane().identifier());
  }
  backoff_.reset();
  last_failure_.clear();
  mux_.on_response(std::move(response));
  return true;
}

bool AdsClient::on_stream_message(GrpcDecoder& decoder, Buffer& input) {
  return config_.variant == Variant::Delta ? take<DeltaState::Response>(decoder, input)
                                           : take<SotwState::Response>(decoder, input);
}

void AdsClient::on_stream_closed(const GrpcStatus& status) {
  drop_stream();
  if (!started_) return;
  const uint64_t wait_ms = backoff_.next_ms(context_.random());
  log_closed(status, wait_ms);
  retry_.arm(wait_ms);
  mux_.stream_failed();
}

/// The same failure is worth a warning once until something has worked again.
void AdsClient::log_closed(const GrpcStatus& status, uint64_t retry_in_ms) {
  std::string failure = std::to_string(status.code) + ", " + status.message;
  if (failure == last_failure_ || status.code == 0) {
    LOG_DEBUG(config, "{} stream to {} closed: {}; next try in {} ms", config_.target.path,
              config_.target.cluster, failure, retry_in_ms);
  } else {
    LOG_WARNING(config, "{} stream to {} closed: {}", config_.target.path, config_.target.cluster,
                failure);
  }
  last_failure_ = std::move(failure);
}

}  // namespace remora::xds
