// Messages to JSON for admin answers, in Envoy's spelling (snake_case names, two-space
// indentation).
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "proxy/base/clock.h"

namespace remora::server {

std::string to_json(const google::protobuf::Message& message);
/// The same with fields that have their default values, as scripts expect them of /server_info and
/// /memory.
std::string to_json_with_defaults(const google::protobuf::Message& message);
void set_time(WallNs when, google::protobuf::Timestamp* out);

}  // namespace remora::server
