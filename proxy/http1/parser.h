// Reads message heads and trailers of HTTP/1, strictly by RFC 9112: what two readers could
// understand differently is refused. Incremental over any segmentation. A head that lies whole in
// one read block becomes views into that block, pinned by the arena, with names lower-cased in
// place; one that comes in pieces is copied to the arena. A member of its codec, reused from
// message to message; the connection's worker only.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/http/codec.h"
#include "proxy/http/header_map.h"
#include "proxy/http1/options.h"

namespace remora::http1 {

/// Why bytes were refused. `detail` is static text.
struct ParseError {
  uint16_t status = 400;
  std::string_view detail;
};

namespace details {
inline constexpr std::string_view kCodecError = "http1.codec_error";
inline constexpr std::string_view kInvalidCharacters = "http1.invalid_characters";
inline constexpr std::string_view kUnexpectedUnderscore = "http1.unexpected_underscore";
inline constexpr std::string_view kTooManyHeaders = "http1.too_many_headers";
inline constexpr std::string_view kHeadersTooLarge = "http1.headers_too_large";
inline constexpr std::string_view kInvalidTransferEncoding = "http1.invalid_transfer_encoding";
inline constexpr std::string_view kLengthAndChunked =
    "http1.content_length_and_chunked_not_allowed";
inline constexpr std::string_view kTransferEncodingNotAllowed =
    "http1.transfer_encoding_not_allowed";
inline constexpr std::string_view kContentLengthNotAllowed = "http1.content_length_not_allowed";
inline constexpr std::string_view kBodyDisallowed = "http1.body_disallowed";
inline constexpr std::string_view kInvalidUrl = "http1.invalid_url";
inline constexpr std::string_view kInvalidScheme = "http1.invalid_scheme";
inline constexpr std::string_view kInvalidAuthority = "http.invalid_authority";
inline constexpr std::string_view kLowVersion = "low_version";
}  // namespace details

/// What a head says about its framing and connection, gathered while it is read.
struct HeadFacts {
  http::Protocol version = http::Protocol::Http11;
  bool known_method = true;  // requests
  uint16_t status = 0;       // responses
  uint8_t hosts = 0;         // Host fields, saturating
  bool has_length = false;
  uint64_t length = 0;
  uint8_t transfer_encodings = 0;        // Transfer-Encoding fields, saturating
  bool chunked = false;                  // the (first) Transfer-Encoding is exactly "chunked"
  bool close = false;                    // Connection or Proxy-Connection names it
  bool keep_alive = false;               // likewise
  bool upgrade_token = false;            // Connection names "upgrade"
  bool has_upgrade = false;              // there is an Upgrade field
  bool connection_names_others = false;  // Connection nominates fields to be removed
};

class HeadParser {
 public:
  enum class Kind : uint8_t { Request, Response, Trailers };
  enum class Status : uint8_t { NeedMore, Done, Error };

  HeadParser(Kind kind, const HeadLimits& limits) : limits_(limits), kind_(kind) {}

  /// Begins a message: fields go into `map`, bytes stay alive through its arena. A request's map
  /// gets :method and :path (the target as it came), a response's :status; Host becomes :authority.
  /// A map that has a HeaderSpelling remembers names as they came.
  void start(http::HeaderMap& map) { start(map, kind_); }
  /// The same for trailers of the message, within the same limits again.
  void start_trailers(http::HeaderMap& map) { start(map, Kind::Trailers); }

  /// Goes on with the bytes at the front of `in`. Done: they are consumed up to the end of the
  /// head. NeedMore: what cannot be decided yet may stay in `in`. Error: error() says why; nothing
  /// more can be read.
  Status parse(Buffer& in);

  const HeadFacts& facts() const { return facts_; }
  const ParseError& error() const { return error_; }
  /// Bytes of this head consumed so far, line ends included.
  uint64_t head_bytes() const { return head_bytes_; }

 private:
  /// One contiguous stretch of the head, being read.
  struct Run {
    char* at;
    char* end;
  };

  void start(http::HeaderMap& map, Kind kind);
  Status fail(uint16_t status, std::string_view detail);
  Status bad_syntax() { return fail(400, details::kCodecError); }

  uint64_t room() const { return limits_.max_bytes - head_bytes_; }
  Status parse_front(Buffer& in);
  Status parse_long_line(Buffer& in);
  Status parse_lines(Run& run);
  void keep_lines(std::string_view lines, size_t first_entry);

  // Each reads one line from run.at; Done moves run.at behind it.
  Status parse_request_line(Run& run);
  Status parse_status_line(Run& run);
  Status parse_field(Run& run);
  void remember_name(char* begin, size_t length);
  Status finish_line(Run& run, char* line_end);
  Status read_version(const char* at, const char* end, const char** version_end);

  Status add_field(std::string_view name, std::string_view value);
  Status note_length(std::string_view value);
  void note_transfer_encoding(std::string_view value);
  void note_connection(std::string_view value, bool is_connection_field);

  HeadLimits limits_;
  Kind kind_;
  Kind reading_ = Kind::Request;
  bool start_line_done_ = false;
  bool dead_ = false;  // an error was found
  http::HeaderMap* map_ = nullptr;
  uint32_t fields_ = 0;
  uint64_t head_bytes_ = 0;
  size_t long_line_scanned_ = 0;  // bytes of a line longer than a block known to hold no line end
  HeadFacts facts_;
  ParseError error_;
};

/// A method that Envoy knows, as static text; empty for another.
std::string_view known_method(std::string_view method);

/// Fields that decide about framing, routing or identity have no say after the body.
bool forbidden_in_trailers(http::HeaderId id);

}  // namespace remora::http1
