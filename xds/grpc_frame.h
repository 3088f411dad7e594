// gRPC's framing: a flag byte, a length of four bytes, a message. Incremental both ways; messages
// are parsed from the blocks they came in. Owned by a GrpcStream; that thread only.
#pragma once

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"

namespace remora::xds {

/// Appends `message` with its prefix.
void append_grpc_message(const google::protobuf::MessageLite& message, Buffer& out);

class GrpcDecoder {
 public:
  enum class Next : uint8_t {
    NeedMore,    // no complete message yet
    Message,     // message_bytes() at the head of the input are one: parse() takes them
    Compressed,  // we announced no compression
    TooLarge,    // over the limit; known from the prefix, before the bytes come
  };

  explicit GrpcDecoder(uint64_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  /// Looks at `input` and takes a prefix off it once the prefix is whole.
  Next next(Buffer& input);
  uint32_t message_bytes() const { return message_bytes_; }
  /// Parses the message and takes its bytes off `input`, whatever comes of it. False: not such a
  /// message.
  bool parse(Buffer& input, google::protobuf::MessageLite* out);
  /// Nothing begun: the stream may end here.
  bool between_messages(const Buffer& input) const { return !has_prefix_ && input.empty(); }

 private:
  const uint64_t max_message_bytes_;
  bool has_prefix_ = false;
  uint32_t message_bytes_ = 0;
};

}  // namespace remora::xds
