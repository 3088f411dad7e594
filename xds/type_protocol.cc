// What both variants of the protocol share.
#include "xds/type_protocol.h"

#include <utility>

namespace remora::xds {
namespace {

constexpr int kInvalidArgument = 3;
constexpr size_t kMaxDetailBytes = 16 * 1024;

}  // namespace

google::rpc::Status error_detail(std::span<const Reject> rejects) {
  std::string message;
  size_t named = 0;
  for (const Reject& reject : rejects) {
    if (message.size() > kMaxDetailBytes) break;
    if (named++ > 0) message += "; ";
    message += reject.resource + ": " + reject.reason;
  }
  if (named < rejects.size())
    message += "; and " + std::to_string(rejects.size() - named) + " more";
  google::rpc::Status status;
  status.set_code(kInvalidArgument);
  status.set_message(std::move(message));
  return status;
}

std::string envelope_fault(const google::protobuf::Any& body, std::string_view type_url,
                           std::string_view name) {
  if (body.type_url() != type_url) {
    return "type URL " + body.type_url() + " does not match " + std::string(type_url) +
           " of the response";
  }
  return name.empty() ? "resource without a name" : "";
}

}  // namespace remora::xds
