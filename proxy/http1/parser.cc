// The reading of heads: which bytes to look at (top half), and the grammar of each line (bottom
// half). Owned by a codec; the connection's worker only.
#include "proxy/http1/parser.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "proxy/http/header_spelling.h"
#include "proxy/http1/scan.h"

namespace remora::http1 {
namespace {

using http::HeaderEntry;
using http::HeaderId;

constexpr size_t kMaxMethodBytes = 32;
constexpr size_t kMaxLengthDigits = 19;
constexpr uint64_t kMaxLength = INT64_MAX;

bool contains_line_end(std::string_view bytes) {
  return std::memchr(bytes.data(), '\n', bytes.size()) != nullptr;
}

bool equals_lower(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (token_lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

// --- which bytes to look at ---

void HeadParser::start(http::HeaderMap& map, Kind kind) {
  map_ = &map;
  reading_ = kind;
  start_line_done_ = kind == Kind::Trailers;
  fields_ = 0;
  head_bytes_ = 0;
  long_line_scanned_ = 0;
  if (kind != Kind::Trailers) facts_ = HeadFacts();
}

HeadParser::Status HeadParser::fail(uint16_t status, std::string_view detail) {
  dead_ = true;
  error_ = {status, detail};
  return Status::Error;
}

HeadParser::Status HeadParser::parse(Buffer& in) {
  if (dead_) return Status::Error;
  while (!in.empty()) {
    const size_t before = in.size();
    const Status status = parse_front(in);
    if (status != Status::NeedMore) return status;
    if (in.size() == before) break;
  }
  return Status::NeedMore;
}

/// Reads what the first block of `in` holds. NeedMore without consuming anything: more bytes must
/// come first.
HeadParser::Status HeadParser::parse_front(Buffer& in) {
  std::string_view bytes = in.front();
  if (bytes.size() < in.size() && !contains_line_end(bytes)) {
    bytes = in.linearize(std::min(in.size(), Buffer::kMaxReserve));  // the line crosses blocks
  }
  const bool over_limit = bytes.size() > room();
  if (over_limit) bytes = bytes.substr(0, room());
  // The bytes are this connection's own; names are made lower case where they lie.
  char* begin = const_cast<char*>(bytes.data());
  Run run{begin, begin + bytes.size()};
  const size_t first_entry = map_->entries().size();
  const Status status = parse_lines(run);
  if (status == Status::Error) return status;

  const auto used = static_cast<size_t>(run.at - begin);
  head_bytes_ += used;
  if (status == Status::Done) {
    map_->arena().pin(in.front_block());
    in.consume(used);
    return status;
  }
  if (over_limit) return fail(431, details::kHeadersTooLarge);
  if (used == 0) return bytes.size() < in.size() ? parse_long_line(in) : status;
  // The head comes in pieces: a peer that sends it a line at a time must not pin a block with each.
  keep_lines({begin, used}, first_entry);
  in.consume(used);
  return status;
}

/// The line at the front of `in` is longer than a block.
HeadParser::Status HeadParser::parse_long_line(Buffer& in) {
  char piece[2048];
  const size_t within = std::min<uint64_t>(in.size(), room());
  size_t length = 0;
  while (long_line_scanned_ < within) {
    const size_t count = std::min(sizeof(piece), within - long_line_scanned_);
    in.copy_out(long_line_scanned_, count, piece);
    if (const void* found = std::memchr(piece, '\n', count)) {
      length =
          long_line_scanned_ + static_cast<size_t>(static_cast<const char*>(found) - piece) + 1;
      break;
    }
    long_line_scanned_ += count;
  }
  if (length == 0) {
    return in.size() > room() ? fail(431, details::kHeadersTooLarge) : Status::NeedMore;
  }
  char* line = static_cast<char*>(map_->arena().allocate(length, 1));
  in.copy_out(0, length, line);
  Run run{line, line + length};
  const Status status = parse_lines(run);
  if (status == Status::Error) return status;
  assert(status == Status::NeedMore && run.at == run.end);
  in.consume(length);
  head_bytes_ += length;
  long_line_scanned_ = 0;
  return status;
}

HeadParser::Status HeadParser::parse_lines(Run& run) {
  if (run.at == run.end) return Status::NeedMore;
  if (!start_line_done_) {
    const Status status =
        reading_ == Kind::Request ? parse_request_line(run) : parse_status_line(run);
    if (status != Status::Done) return status;
    start_line_done_ = true;
  }
  while (run.at != run.end) {
    if (*run.at == '\r') return finish_line(run, run.at);
    const Status status = parse_field(run);
    if (status != Status::Done) return status;
  }
  return Status::NeedMore;
}

/// Copies complete lines to the arena and lets the views into them follow.
void HeadParser::keep_lines(std::string_view lines, size_t first_entry) {
  const std::string_view kept = map_->arena().copy(lines);
  auto follow = [&](std::string_view& view) {
    if (view.data() < lines.data() || view.data() >= lines.data() + lines.size()) return;
    view = kept.substr(static_cast<size_t>(view.data() - lines.data()), view.size());
  };
  for (HeaderEntry& entry : map_->mutable_entries().subspan(first_entry)) {
    follow(entry.name);
    follow(entry.value);
  }
}

// --- the grammar ---

/// `line_end` is where the line's CR must be.
HeadParser::Status HeadParser::finish_line(Run& run, char* line_end) {
  if (*line_end != '\r') return bad_syntax();
  if (line_end + 1 == run.end) return Status::NeedMore;
  if (line_end[1] != '\n') return bad_syntax();
  run.at = line_end + 2;
  return Status::Done;
}

/// "HTTP/1.0" or "HTTP/1.1"; the version's end goes to *version_end.
HeadParser::Status HeadParser::read_version(const char* at, const char* end,
                                            const char** version_end) {
  constexpr std::string_view kMajor = "HTTP/1.";
  constexpr size_t kVersionBytes = kMajor.size() + 1;
  const auto available = std::min<size_t>(kVersionBytes, static_cast<size_t>(end - at));
  const size_t known = std::min(available, kMajor.size());
  if (std::string_view(at, known) != kMajor.substr(0, known)) return bad_syntax();
  if (available < kVersionBytes) return Status::NeedMore;
  const char minor = at[kMajor.size()];
  if (minor != '0' && minor != '1') return bad_syntax();
  facts_.version = minor == '1' ? http::Protocol::Http11 : http::Protocol::Http10;
  *version_end = at + kVersionBytes;
  return Status::Done;
}

HeadParser::Status HeadParser::parse_request_line(Run& run) {
  char* at = run.at;
  while (at != run.end && token_lower(*at) != 0) ++at;
  const std::string_view method(run.at, static_cast<size_t>(at - run.at));
  if (method.size() > kMaxMethodBytes) return bad_syntax();
  if (at == run.end) return Status::NeedMore;
  if (*at != ' ' || method.empty()) return bad_syntax();

  char* target_begin = at + 1;
  char* target_end = const_cast<char*>(find_target_end(target_begin, run.end));
  if (target_end == run.end) return Status::NeedMore;
  if (target_end == target_begin) return bad_syntax();
  const std::string_view target(target_begin, static_cast<size_t>(target_end - target_begin));

  if (*target_end != ' ') return bad_syntax();  // also HTTP/0.9, which named no version
  const char* line_end = nullptr;
  Status status = read_version(target_end + 1, run.end, &line_end);
  if (status != Status::Done) return status;
  if (line_end == run.end) return Status::NeedMore;
  status = finish_line(run, const_cast<char*>(line_end));
  if (status != Status::Done) return status;

  const std::string_view known = known_method(method);
  facts_.known_method = !known.empty();
  map_->push(HeaderId::Method, ":method", known.empty() ? method : known);
  map_->push(HeaderId::Path, ":path", target);
  return Status::Done;
}

HeadParser::Status HeadParser::parse_status_line(Run& run) {
  const char* at = nullptr;
  Status status = read_version(run.at, run.end, &at);
  if (status != Status::Done) return status;
  // " 200", then the end of the line or " reason".
  uint16_t code = 0;
  for (int i = 0; i < 4; ++i, ++at) {
    if (at == run.end) return Status::NeedMore;
    const bool right = i == 0 ? *at == ' ' : *at >= '0' && *at <= '9';
    if (!right) return bad_syntax();
    if (i > 0) code = static_cast<uint16_t>(code * 10 + (*at - '0'));
  }
  if (code < 100) return bad_syntax();
  if (at == run.end) return Status::NeedMore;
  const char* const digits = at - 3;
  const char* const digits_end = at;
  if (*at == ' ') at = find_value_end(at, run.end);
  if (at == run.end) return Status::NeedMore;
  status = finish_line(run, const_cast<char*>(at));
  if (status != Status::Done) return status;
  if (map_->spelling() != nullptr && at > digits_end + 1) {
    map_->spelling()->note_reason({digits_end + 1, static_cast<size_t>(at - digits_end - 1)});
  }
  facts_.status = code;
  map_->push(HeaderId::Status, ":status", {digits, 3});
  return Status::Done;
}

HeadParser::Status HeadParser::parse_field(Run& run) {
  char* const begin = run.at;
  char* at = begin;
  const bool remember = map_->spelling() != nullptr;
  if (!remember) {
    for (; at != run.end; ++at) {
      const char lower = token_lower(*at);
      if (lower == 0) break;
      *at = lower;
    }
  } else {
    while (at != run.end && token_lower(*at) != 0) ++at;
  }
  const std::string_view name(begin, static_cast<size_t>(at - begin));
  if (name.size() > kMaxFieldNameBytes) return bad_syntax();
  if (at == run.end) return Status::NeedMore;
  if (*at != ':' || name.empty())
    return bad_syntax();  // also a folded line: it begins with a blank

  do {
    ++at;
  } while (at != run.end && is_blank(*at));
  char* value_end = const_cast<char*>(find_value_end(at, run.end));
  if (value_end == run.end) return Status::NeedMore;
  if (*value_end != '\r' && *value_end != '\n') return fail(400, details::kInvalidCharacters);
  const Status status = finish_line(run, value_end);
  if (status != Status::Done) return status;
  if (remember) remember_name(begin, name.size());
  while (value_end != at && is_blank(value_end[-1])) --value_end;
  return add_field(name, {at, static_cast<size_t>(value_end - at)});
}

/// The line is whole: nobody reads it a second time.
void HeadParser::remember_name(char* begin, size_t length) {
  map_->spelling()->note({begin, length});
  for (char* at = begin; at != begin + length; ++at) *at = token_lower(*at);
}

// --- what the fields say ---

HeadParser::Status HeadParser::add_field(std::string_view name, std::string_view value) {
  if (++fields_ > limits_.max_fields) return fail(431, details::kTooManyHeaders);
  const HeaderId id = http::header_id_of(name);
  if (reading_ == Kind::Trailers) {
    if (!forbidden_in_trailers(id)) map_->push(id, name, value);
    return Status::Done;
  }
  switch (id) {
    case HeaderId::Host:
      if (reading_ != Kind::Request) break;
      if (facts_.hosts < 2) ++facts_.hosts;
      map_->push(HeaderId::Authority, ":authority", value);
      return Status::Done;
    case HeaderId::ContentLength:
      if (const Status status = note_length(value); status != Status::Done) return status;
      break;
    case HeaderId::TransferEncoding:
      note_transfer_encoding(value);
      break;
    case HeaderId::Connection:
    case HeaderId::ProxyConnection:
      note_connection(value, id == HeaderId::Connection);
      break;
    case HeaderId::Upgrade:
      facts_.has_upgrade = true;
      break;
    default:
      break;
  }
  map_->push(id, id == HeaderId::Other ? name : http::header_name(id), value);
  return Status::Done;
}

HeadParser::Status HeadParser::note_length(std::string_view value) {
  if (facts_.has_length) return bad_syntax();
  if (value.empty() || value.size() > kMaxLengthDigits) return bad_syntax();
  uint64_t length = 0;
  for (const char c : value) {
    if (c < '0' || c > '9') return bad_syntax();
    length = length * 10 + static_cast<uint64_t>(c - '0');
  }
  if (length > kMaxLength) return bad_syntax();
  facts_.has_length = true;
  facts_.length = length;
  return Status::Done;
}

void HeadParser::note_transfer_encoding(std::string_view value) {
  if (facts_.transfer_encodings == 0) facts_.chunked = equals_lower(value, "chunked");
  if (facts_.transfer_encodings < 2) ++facts_.transfer_encodings;
}

void HeadParser::note_connection(std::string_view value, bool is_connection_field) {
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    const std::string_view token = trim(value.substr(0, comma));
    value.remove_prefix(std::min(comma + 1, value.size()));
    if (equals_lower(token, "close")) {
      facts_.close = true;
    } else if (equals_lower(token, "keep-alive")) {
      facts_.keep_alive = true;
    } else if (is_connection_field && equals_lower(token, "upgrade")) {
      facts_.upgrade_token = true;
    } else if (is_connection_field && !token.empty()) {
      facts_.connection_names_others = true;
    }
  }
}

bool forbidden_in_trailers(HeaderId id) {
  switch (id) {
    case HeaderId::Host:
    case HeaderId::ContentLength:
    case HeaderId::TransferEncoding:
    case HeaderId::Connection:
    case HeaderId::KeepAlive:
    case HeaderId::ProxyConnection:
    case HeaderId::Upgrade:
    case HeaderId::Http2Settings:
    case HeaderId::Te:
    case HeaderId::Trailer:
    case HeaderId::Expect:
    case HeaderId::ContentType:
    case HeaderId::ContentEncoding:
    case HeaderId::Cookie:
    case HeaderId::SetCookie:
    case HeaderId::Authorization:
    case HeaderId::ProxyAuthorization:
    case HeaderId::ProxyAuthenticate:
    case HeaderId::Forwarded:
    case HeaderId::XForwardedFor:
    case HeaderId::XForwardedHost:
    case HeaderId::XForwardedProto:
    case HeaderId::XForwardedClientCert:
      return true;
    default:
      return false;
  }
}

std::string_view known_method(std::string_view method) {
  static constexpr std::string_view kMethods[] = {
      "GET",     "POST",      "PUT",        "DELETE",     "HEAD",     "OPTIONS",    "PATCH",
      "CONNECT", "TRACE",     "ACL",        "BIND",       "CHECKOUT", "COPY",       "LINK",
      "LOCK",    "MERGE",     "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",       "MSEARCH",
      "NOTIFY",  "PROPFIND",  "PROPPATCH",  "PURGE",      "REBIND",   "REPORT",     "SEARCH",
      "SOURCE",  "SUBSCRIBE", "UNBIND",     "UNLINK",     "UNLOCK",   "UNSUBSCRIBE"};
  for (const std::string_view known : kMethods) {
    if (known == method) return known;
  }
  return {};
}

}  // namespace remora::http1
