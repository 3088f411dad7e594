// Incremental xDS: requests name what is wanted additionally or no more, responses what changed or
// went. Owned by the Mux; main thread.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "api/discovery.pb.h"
#include "xds/type_protocol.h"

namespace remora::xds {

class DeltaState final : public TypeProtocol {
 public:
  using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;

  explicit DeltaState(WatchedType& type) : type_(type) {}

  void stream_started() override;
  bool request_due() const override;
  std::unique_ptr<google::protobuf::Message> make_request(
      const envoy::config::core::v3::Node* node) override;
  void on_response(Response response);

 private:
  struct Answer {
    std::string nonce;
    std::optional<google::rpc::Status> error;
  };
  std::vector<std::string> wanted_names() const;
  void fill_first(Request& request);
  void fill_changes(Request& request);

  WatchedType& type_;
  bool first_sent_ = false;       // on this stream
  bool legacy_wildcard_ = false;  // the first request named nothing and so asked for everything
  std::vector<std::string> names_sent_;  // subscribed to on this stream, in order
  std::deque<Answer> answers_;           // to responses, not sent yet
};

}  // namespace remora::xds
