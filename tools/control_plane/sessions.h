// What one xDS stream has asked for and been sent, in both variants of the protocol. No I/O: a
// session turns a request, or a new view, into the responses that are due.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/discovery.pb.h"
#include "tools/control_plane/view.h"

namespace remora::control_plane {

// A client that refused what it was sent.
struct Rejection {
  std::string type_url;
  std::string reason;
};

// What both variants remember about one type of resource.
struct Subscription {
  bool wildcard = false;
  std::set<std::string> names;
  std::map<std::string, std::string> sent;  // name to version
  std::string nonce;                        // of the last response

  bool wants(const std::string& name) const { return wildcard || names.contains(name); }
};

// State of the world: a response for clusters or listeners holds all of them.
class SotwSession {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  std::vector<Response> on_request(const Request& request, const View& view);
  std::vector<Response> on_view(const View& view);

 private:
  std::vector<Response> due(const std::string& type, Subscription& subscription, const View& view);

  std::map<std::string, Subscription> subscriptions_;
  uint64_t responses_ = 0;
};

// Incremental: a response holds what changed.
class DeltaSession {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;

  std::vector<Response> on_request(const Request& request, const View& view);
  std::vector<Response> on_view(const View& view);

 private:
  void subscribe(const Request& request, Subscription& subscription, bool first);
  Response changes(const std::string& type, Subscription& subscription, const View& view);
  void number(Response& response, Subscription& subscription);

  std::map<std::string, Subscription> subscriptions_;
  uint64_t responses_ = 0;
};

}  // namespace remora::control_plane
