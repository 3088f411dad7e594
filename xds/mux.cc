// Order, pauses, and who gets which message.
#include "xds/mux.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proxy/base/log.h"

namespace remora::xds {
namespace {

/// Before traffic can be routed: clusters, their secrets and endpoints, then listeners, then their
/// routes.
constexpr std::string_view kOrder[] = {kClusterType, kSecretType, kEndpointType, kListenerType,
                                       kRouteType};

size_t rank_of(std::string_view type_url) {
  return static_cast<size_t>(std::find(std::begin(kOrder), std::end(kOrder), type_url) -
                             std::begin(kOrder));
}

}  // namespace

struct Mux::Type {
  Type(std::string_view type_url, Variant variant, TimerWheel& timers, WatchedTypeOwner& owner)
      : watched(std::string(type_url), timers, owner) {
    if (variant == Variant::Delta) {
      protocol = std::make_unique<DeltaState>(watched);
    } else {
      protocol = std::make_unique<SotwState>(watched);
    }
  }

  WatchedType watched;
  std::unique_ptr<TypeProtocol> protocol;
  int pauses = 0;
};

Mux::Mux(Variant variant, envoy::config::core::v3::Node node, NodeIn node_in, TimerWheel& timers,
         MuxOwner& owner)
    : variant_(variant),
      node_(std::move(node)),
      node_in_(node_in),
      timers_(timers),
      owner_(owner) {}

Mux::~Mux() = default;

Mux::Type* Mux::find(std::string_view type_url) {
  const auto at = std::find_if(types_.begin(), types_.end(), [&](const auto& type) {
    return type->watched.type_url() == type_url;
  });
  return at == types_.end() ? nullptr : at->get();
}

Mux::Type& Mux::type_for(std::string_view type_url) {
  if (Type* type = find(type_url)) return *type;
  WatchedTypeOwner& owner = *this;
  const auto after = std::upper_bound(
      types_.begin(), types_.end(), rank_of(type_url),
      [](size_t rank, const auto& type) { return rank < rank_of(type->watched.type_url()); });
  return **types_.insert(after, std::make_unique<Type>(type_url, variant_, timers_, owner));
}

std::unique_ptr<Subscription> Mux::subscribe(const SubscribeOptions& options,
                                             ResourceConsumer& consumer) {
  return type_for(options.type_url).watched.subscribe(options, consumer);
}

void Mux::pause(std::string_view type_url) { ++type_for(type_url).pauses; }

void Mux::resume(std::string_view type_url) {
  if (--type_for(type_url).pauses == 0) owner_.on_request_due();
}

void Mux::stream_started() {
  node_sent_ = false;
  for (auto& type : types_) type->protocol->stream_started();
}

void Mux::stream_failed() {
  for (auto& type : types_) type->watched.source_failed();
}

std::unique_ptr<google::protobuf::Message> Mux::next_request() {
  for (auto& type : types_) {
    if (type->pauses > 0 || !type->protocol->request_due()) continue;
    const bool with_node = node_in_ == NodeIn::EveryRequest || !std::exchange(node_sent_, true);
    return type->protocol->make_request(with_node ? &node_ : nullptr);
  }
  return nullptr;
}

template <class State, class Response>
void Mux::give(Response response) {
  Type* type = find(response.type_url());
  if (type == nullptr) {
    LOG_WARNING(config, "response for {}, which was not asked for", response.type_url());
    return;
  }
  static_cast<State&>(*type->protocol).on_response(std::move(response));
  owner_.on_request_due();
}

void Mux::on_response(SotwState::Response response) { give<SotwState>(std::move(response)); }

void Mux::on_response(DeltaState::Response response) { give<DeltaState>(std::move(response)); }

}  // namespace remora::xds
