// Where a message's body ends (RFC 9112 section 6), decided in one place from the facts of its
// head, and a reader that follows the decision. The connection's worker only.
#pragma once

#include <cstdint>

#include "proxy/base/buffer.h"
#include "proxy/http1/chunked.h"
#include "proxy/http1/parser.h"

namespace remora::http1 {

enum class BodyKind : uint8_t { None, Length, Chunked, UntilClose };

struct BodyFraming {
  BodyKind kind = BodyKind::None;
  uint64_t length = 0;
  ParseError error;  // refused when error.detail is not empty
  bool ok() const { return error.detail.empty(); }
};

BodyFraming request_body(const HeadFacts& facts, bool connect);
/// Of a final response (not 1xx, not a successful CONNECT).
BodyFraming response_body(const HeadFacts& facts, bool answers_head);

/// Takes a body's bytes out of what was received.
class BodyReader {
 public:
  enum class Status : uint8_t {
    NeedMore,  // `out` may hold bytes; the body goes on
    Ended,     // `out` may hold the last bytes
    Trailers,  // the same, and trailers follow
    Error,
  };

  void start(const BodyFraming& framing);
  Status read(Buffer& in, Buffer& out);
  bool until_close() const { return kind_ == BodyKind::UntilClose; }

 private:
  BodyKind kind_ = BodyKind::None;
  uint64_t left_ = 0;
  ChunkedDecoder chunks_;
};

}  // namespace remora::http1
