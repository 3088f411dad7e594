// The chunked transfer coding: a streaming decoder that moves body bytes without copying them, and
// the encoder. The decoder is a member of its codec; the connection's worker only.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/buffer.h"

namespace remora::http1 {

class ChunkedDecoder {
 public:
  enum class Status : uint8_t {
    NeedMore,   // everything in `in` was taken
    LastChunk,  // the line of the last chunk was read; trailers follow in `in`
    Error,
  };

  void start() { *this = ChunkedDecoder(); }
  /// Moves the bytes of the body from `in` to `out` and drops what frames them, chunk extensions
  /// included.
  Status decode(Buffer& in, Buffer& out);

 private:
  enum class State : uint8_t {
    FirstDigit,
    Digits,
    Blank,
    Extension,
    LineFeed,
    Data,
    DataCr,
    DataLf
  };

  Status decode_line(Buffer& in);
  bool accept(char c);
  bool accept_extension(char c);
  bool add_digit(char c);

  State state_ = State::FirstDigit;
  uint8_t digits_ = 0;
  uint32_t extension_bytes_ = 0;
  uint64_t left_ = 0;  // of the chunk being read
};

/// Appends all of `data` (not empty) as one chunk; answers the bytes written. `data` is empty then.
uint64_t append_chunk(Buffer& out, Buffer& data);

/// Ends a body without trailers.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
/// Begins the trailers; a blank line ends them.
inline constexpr std::string_view kLastChunkLine = "0\r\n";

}  // namespace remora::http1
