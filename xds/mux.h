// Several types of resources on one stream of discovery requests and responses: whose turn it is,
// who hears a response, who is paused. Messages in, messages out; it knows no network. Owned by an
// AdsClient; main thread.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/core.pb.h"
#include "proxy/base/timer_wheel.h"
#include "xds/delta_state.h"
#include "xds/sotw_state.h"
#include "xds/subscription.h"
#include "xds/watched_type.h"

namespace remora::xds {

enum class Variant : uint8_t { StateOfTheWorld, Delta };

class MuxOwner {
 public:
  /// next_request() may have something.
  virtual void on_request_due() = 0;

 protected:
  ~MuxOwner() = default;
};

class Mux final : private WatchedTypeOwner {
 public:
  enum class NodeIn : uint8_t { FirstRequest, EveryRequest };

  Mux(Variant variant, envoy::config::core::v3::Node node, NodeIn node_in, TimerWheel& timers,
      MuxOwner& owner);
  ~Mux();

  std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                          ResourceConsumer& consumer);

  /// While paused no request of the type leaves; counted. Changes of a pause leave together at its
  /// end.
  void pause(std::string_view type_url);
  void resume(std::string_view type_url);

  void stream_started();
  void stream_failed();
  /// The request that is to leave next: clusters, endpoints, listeners, routes, then what else
  /// there is. Null: none.
  std::unique_ptr<google::protobuf::Message> next_request();
  void on_response(SotwState::Response response);
  void on_response(DeltaState::Response response);
  Variant variant() const { return variant_; }

 private:
  struct Type;

  void on_interest_changed() override { owner_.on_request_due(); }
  Type& type_for(std::string_view type_url);
  Type* find(std::string_view type_url);
  template <class State, class Response>
  void give(Response response);

  const Variant variant_;
  const envoy::config::core::v3::Node node_;
  const NodeIn node_in_;
  TimerWheel& timers_;
  MuxOwner& owner_;
  bool node_sent_ = false;                    // on this stream
  std::vector<std::unique_ptr<Type>> types_;  // in the order in which requests leave
};

/// Keeps requests of a type back for a scope.
class Paused {
 public:
  Paused(Mux& mux, std::string_view type_url) : mux_(mux), type_url_(type_url) {
    mux_.pause(type_url_);
  }
  ~Paused() { mux_.resume(type_url_); }
  Paused(const Paused&) = delete;
  Paused& operator=(const Paused&) = delete;

 private:
  Mux& mux_;
  const std::string type_url_;
};

}  // namespace remora::xds
