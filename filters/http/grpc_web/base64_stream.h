// Base64 in pieces, strictly by the standard alphabet with padding. The decoder holds at most three
// characters, the encoder two bytes. Owned by a filter; its worker's thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/buffer.h"

namespace remora::grpc_web {

class Base64Decoder {
 public:
  /// Appends what `text` decodes to. Padding may be followed by more: a text may be several ones.
  /// False: it is not base64.
  bool decode(std::string_view text, Buffer& out);
  /// The text may end here.
  bool complete() const { return count_ == 0; }

 private:
  uint32_t bits_ = 0;    // of the group under way
  uint8_t count_ = 0;    // of its characters
  uint8_t padding_ = 0;  // of its characters
};

class Base64Encoder {
 public:
  void encode(std::string_view bytes, Buffer& out);
  /// Ends the text with padding; the next one may follow.
  void finish(Buffer& out);

 private:
  uint32_t bits_ = 0;
  uint8_t count_ = 0;  // of bytes held
};

}  // namespace remora::grpc_web
