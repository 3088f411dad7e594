// ?mask= of /config_dump: which fields of a message stay. Pure functions; any thread.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace remora::server {

/// Keeps of `message` what `mask` names, paths separated by commas ("cluster.name,last_updated").
/// A path may lead through an Any, not through a repeated field. False, and nothing that can be
/// relied on in `message`, when a path leads nowhere.
bool keep_fields(const std::string& mask, google::protobuf::Message* message);

}  // namespace remora::server
