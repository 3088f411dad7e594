// Follows gRPC's framing (a flag byte, a length of four bytes, a message) through a body, wherever
// the body is cut, and holds nothing of it. Owned by a filter; its worker's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/base/buffer.h"

namespace remora::http {

class GrpcFrames {
 public:
  /// Goes to the end of the message under way, or of `bytes` if that comes first; how far that was.
  size_t advance(std::string_view bytes);
  /// Goes through all of `body`; how many messages begin in it.
  uint64_t follow(const Buffer& body);

  uint64_t begun() const { return begun_; }
  /// No message is under way.
  bool between() const { return header_bytes_ == 0 && left_ == 0; }

 private:
  uint64_t begun_ = 0;
  uint32_t left_ = 0;         // of the message
  uint32_t length_ = 0;       // as far as it is known
  uint8_t header_bytes_ = 0;  // that have come
};

}  // namespace remora::http
