// headers_to_add and headers_to_remove of every level of a route configuration. Pure functions.
#pragma once

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "api/core.pb.h"
#include "proxy/router/route_table.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

using HeadersToAdd = google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>;
using HeadersToRemove = google::protobuf::RepeatedPtrField<std::string>;

/// `direction` is "request" or "response": the fields' names begin with it.
absl::StatusOr<router::HeaderEdits> header_edits(const HeadersToAdd& add,
                                                 const HeadersToRemove& remove,
                                                 std::string_view direction, const Path& path);

/// One header to add; `path` is the option's.
absl::StatusOr<router::HeaderEdit> header_edit(
    const envoy::config::core::v3::HeaderValueOption& proto, const Path& path);

/// What happens when the header is there already, said by either of two fields.
absl::StatusOr<router::HeaderEdit::Action> append_action(
    const envoy::config::core::v3::HeaderValueOption& proto, const Path& path);

/// The edits of any message that has the four fields.
template <class Proto>
absl::Status set_header_edits(const Proto& proto, const Path& path, router::HeaderEdits* request,
                              router::HeaderEdits* response) {
  auto of_request = header_edits(proto.request_headers_to_add(), proto.request_headers_to_remove(),
                                 "request", path);
  if (!of_request.ok()) return of_request.status();
  auto of_response = header_edits(proto.response_headers_to_add(),
                                  proto.response_headers_to_remove(), "response", path);
  if (!of_response.ok()) return of_response.status();
  *request = *std::move(of_request);
  *response = *std::move(of_response);
  return absl::OkStatus();
}

}  // namespace remora::xds::translate
