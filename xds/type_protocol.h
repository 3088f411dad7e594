// One type of resource on one stream: which request is due, what a response means. Two variants of
// the protocol exist, state of the world and incremental. No I/O. Owned by the Mux; main thread.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <span>
#include <string>

#include "api/core.pb.h"
#include "api/rpc_status.pb.h"
#include "xds/watched_type.h"

namespace remora::xds {

class TypeProtocol {
 public:
  virtual ~TypeProtocol() = default;
  /// A new stream: what was said on the last one is void, what was accepted is not.
  virtual void stream_started() = 0;
  virtual bool request_due() const = 0;
  /// The request that is due; `node` null when it is not to be repeated.
  virtual std::unique_ptr<google::protobuf::Message> make_request(
      const envoy::config::core::v3::Node* node) = 0;
};

/// INVALID_ARGUMENT, naming every reject: "RESOURCE: FIELD PATH: REASON", as many as fit.
google::rpc::Status error_detail(std::span<const Reject> rejects);

/// An Any of some other type than the response says, or an empty name: what is wrong with a
/// resource before anybody looks into it. Empty for nothing.
std::string envelope_fault(const google::protobuf::Any& body, std::string_view type_url,
                           std::string_view name);

}  // namespace remora::xds
