// For tests of the protocol state machines: responses in, requests out, no network.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/cluster.pb.h"
#include "api/endpoint.pb.h"
#include "xds/mux.h"
#include "xds/test_consumer.h"

namespace remora::xds {

inline google::protobuf::Any cluster(const std::string& name, int timeout = 1) {
  envoy::config::cluster::v3::Cluster c;
  c.set_name(name);
  c.mutable_connect_timeout()->set_seconds(timeout);
  google::protobuf::Any any;
  any.PackFrom(c);
  return any;
}

inline google::protobuf::Any endpoints(const std::string& name) {
  envoy::config::endpoint::v3::ClusterLoadAssignment e;
  e.set_cluster_name(name);
  google::protobuf::Any any;
  any.PackFrom(e);
  return any;
}

struct MuxTest : testing::Test, MuxOwner {
  void on_request_due() override {}

  void start(Variant variant, Mux::NodeIn node_in = Mux::NodeIn::FirstRequest) {
    envoy::config::core::v3::Node node;
    node.set_id("me");
    mux.emplace(variant, node, node_in, wheel, *this);
    mux->stream_started();
  }
  std::unique_ptr<Subscription> all(std::string_view type, TestConsumer& c,
                                    uint64_t timeout_ms = 0) {
    SubscribeOptions o;
    o.type_url = type;
    o.wildcard = true;
    o.initial_fetch_timeout_ms = timeout_ms;
    o.observer = &c.observer;
    return mux->subscribe(o, c);
  }
  std::unique_ptr<Subscription> some(std::string_view type, std::vector<std::string> names,
                                     TestConsumer& c, uint64_t timeout_ms = 0) {
    SubscribeOptions o;
    o.type_url = type;
    o.names = std::move(names);
    o.initial_fetch_timeout_ms = timeout_ms;
    o.observer = &c.observer;
    return mux->subscribe(o, c);
  }
  template <class Request>
  Request next() {
    auto message = mux->next_request();
    if (message == nullptr) {
      ADD_FAILURE() << "no request is due";
      return {};
    }
    return static_cast<Request&>(*message);
  }
  DeltaState::Request next_delta() { return next<DeltaState::Request>(); }
  SotwState::Request next_sotw() { return next<SotwState::Request>(); }
  void expect_quiet() {
    const auto message = mux->next_request();
    EXPECT_EQ(message, nullptr) << message->DebugString();
  }
  void pass(uint64_t ms) {
    time.now_ms += ms;
    wheel.advance();
  }

  TurnTime time;
  TimerWheel wheel{time};
  std::optional<Mux> mux;
};

inline DeltaState::Response delta(std::string_view type, std::string nonce,
                                  std::vector<google::protobuf::Any> bodies,
                                  std::vector<std::string> removed = {}, std::string version = "") {
  DeltaState::Response r;
  r.set_type_url(std::string(type));
  r.set_nonce(nonce);
  r.set_system_version_info("system-" + nonce);
  for (auto& body : bodies) {
    auto* resource = r.add_resources();
    resource->set_name(name_in(body));
    resource->set_version(version);
    *resource->mutable_resource() = body;
  }
  for (auto& name : removed) r.add_removed_resources(name);
  return r;
}

inline SotwState::Response sotw(std::string_view type, std::string version, std::string nonce,
                                std::vector<google::protobuf::Any> bodies) {
  SotwState::Response r;
  r.set_type_url(std::string(type));
  r.set_version_info(version);
  r.set_nonce(nonce);
  for (auto& body : bodies) *r.add_resources() = body;
  return r;
}

}  // namespace remora::xds
