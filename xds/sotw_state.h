// State of the world: every request names all that is wanted, every response for clusters or
// listeners is all there is. Owned by the Mux; main thread.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "api/discovery.pb.h"
#include "xds/type_protocol.h"

namespace remora::xds {

class SotwState final : public TypeProtocol {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;

  explicit SotwState(WatchedType& type);

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

  WatchedType& type_;
  const WatchedType::Completeness completeness_;
  bool first_sent_ = false;  // on this stream
  std::vector<std::string> names_sent_;
  std::deque<Answer> answers_;  // to responses, not sent yet
  std::string version_;         // accepted last
  std::string nonce_;           // received last on this stream
};

/// The name of a resource by its bytes. Every type that is served has it in field 1. Empty when
/// there is none.
std::string name_in(const google::protobuf::Any& body);

/// A resource of a state-of-the-world response, taken out of its Resource wrapper when it comes in
/// one.
Received unwrap(google::protobuf::Any any, std::string_view version);

}  // namespace remora::xds
