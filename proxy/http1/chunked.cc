// Byte by byte through the framing, block by block through the data. The connection's worker only.
#include "proxy/http1/chunked.h"

#include <algorithm>
#include <charconv>

#include "proxy/http1/options.h"
#include "proxy/http1/scan.h"

namespace remora::http1 {
namespace {

constexpr uint8_t kMaxSizeDigits = 16;
constexpr uint64_t kMaxChunkBytes = INT64_MAX;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ChunkedDecoder::Status ChunkedDecoder::decode(Buffer& in, Buffer& out) {
  while (!in.empty()) {
    if (state_ == State::Data) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
      out.append(in, count);
      left_ -= count;
      if (left_ == 0) state_ = State::DataCr;
      continue;
    }
    const Status status = decode_line(in);
    if (status != Status::NeedMore) return status;
  }
  return Status::NeedMore;
}

/// Reads framing bytes of the first block of `in` until data or the last chunk begins.
ChunkedDecoder::Status ChunkedDecoder::decode_line(Buffer& in) {
  const std::string_view bytes = in.front();
  size_t used = 0;
  while (used < bytes.size() && state_ != State::Data) {
    const bool was_size_line = state_ == State::LineFeed;
    if (!accept(bytes[used++])) return Status::Error;
    if (!was_size_line) continue;
    if (left_ == 0) {
      in.consume(used);
      return Status::LastChunk;
    }
    state_ = State::Data;
  }
  in.consume(used);
  return Status::NeedMore;
}

bool ChunkedDecoder::accept(char c) {
  switch (state_) {
    case State::FirstDigit:
      left_ = 0;
      digits_ = 0;
      state_ = State::Digits;
      return add_digit(c);
    case State::Digits:
      if (c == '\r') {
        state_ = State::LineFeed;
        return true;
      }
      if (c != ';' && !is_blank(c)) return add_digit(c);
      state_ = is_blank(c) ? State::Blank : State::Extension;
      return accept_extension(c);
    case State::Blank:
      if (is_blank(c)) return accept_extension(c);
      if (c != ';' && c != '\r') return false;  // a second size, to some readers
      state_ = State::Extension;
      [[fallthrough]];
    case State::Extension:
      if (c == '\r') {
        state_ = State::LineFeed;
        return true;
      }
      return accept_extension(c);
    case State::LineFeed:
      return c == '\n';
    case State::DataCr:
      state_ = State::DataLf;
      return c == '\r';
    case State::DataLf:
      state_ = State::FirstDigit;
      return c == '\n';
    case State::Data:
      break;
  }
  return false;
}

bool ChunkedDecoder::add_digit(char c) {
  const int value = hex_value(c);
  if (value < 0 || ++digits_ > kMaxSizeDigits) return false;
  left_ = left_ << 4 | static_cast<uint64_t>(value);
  return left_ <= kMaxChunkBytes;
}

/// Blanks behind the size count as extension too.
bool ChunkedDecoder::accept_extension(char c) {
  return is_value_byte(c) && ++extension_bytes_ <= kMaxChunkExtensionBytes;
}

uint64_t append_chunk(Buffer& out, Buffer& data) {
  char line[18];
  char* at = std::to_chars(line, line + 16, data.size(), 16).ptr;
  *at++ = '\r';
  *at++ = '\n';
  const auto line_bytes = static_cast<size_t>(at - line);
  const uint64_t written = line_bytes + data.size() + 2;
  out.append(std::string_view(line, line_bytes));
  out.append(data, data.size());
  out.append(std::string_view("\r\n"));
  return written;
}

}  // namespace remora::http1
