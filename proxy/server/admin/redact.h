// Takes private keys, passwords and other secrets out of messages before anybody is shown them.
// Pure functions.
#pragma once

#include <google/protobuf/message.h>

namespace remora::server {

/// Replaces what is secret in `message`, and in whatever it holds inside Any, by "[redacted]".
void redact(google::protobuf::Message* message);

}  // namespace remora::server
