// What the fuzz targets share: cutting the input, and complaining. Test only.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http1/codec_test_support.h"
#include "proxy/http1/parser.h"
#include "proxy/http1/scan.h"

namespace remora::http1::test {

/// `bytes` cut at places that depend on the bytes alone, into pieces of up to `longest`.
inline std::vector<std::string_view> cut(std::string_view bytes, size_t longest) {
  std::vector<std::string_view> pieces;
  uint64_t state = 88172645463325252u + bytes.size() * 31 + longest;
  for (const char c : bytes) state = (state ^ static_cast<uint8_t>(c)) * 1099511628211u;
  while (!bytes.empty()) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const size_t length = 1 + (state >> 33) % longest;
    pieces.push_back(bytes.substr(0, length));
    bytes.remove_prefix(pieces.back().size());
  }
  return pieces;
}

[[noreturn]] inline void complain(const char* what, const std::string& a, const std::string& b) {
  std::fprintf(stderr, "%s\n--- one:\n%s\n--- other:\n%s\n", what, a.c_str(), b.c_str());
  std::abort();
}

inline void require_same(const char* what, const std::string& a, const std::string& b) {
  if (a != b) complain(what, a, b);
}

/// Nothing that was accepted may end a line, or be no token, once it is written again.
inline void require_writable(const http::HeaderMap& map) {
  for (const http::HeaderEntry& entry : map.entries()) {
    std::string_view name = entry.name;
    if (http::is_pseudo(entry.id)) name.remove_prefix(1);
    if (name.empty()) complain("empty name", "", "");
    for (const char c : name) {
      if (token_lower(c) != c || c == 0)
        complain("name is no lower-case token", std::string(entry.name), "");
    }
    for (const char c : entry.value) {
      if (!is_value_byte(c)) complain("control byte in a value", std::string(entry.value), "");
    }
  }
}

/// What parsing `pieces` gives, as text.
inline std::string parse_pieces(HeadParser::Kind kind,
                                const std::vector<std::string_view>& pieces) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  Buffer in(pool);
  HeadParser parser(kind, HeadLimits{2048, 20});
  if (kind == HeadParser::Kind::Trailers) {
    parser.start_trailers(map);
  } else {
    parser.start(map);
  }
  auto status = HeadParser::Status::NeedMore;
  std::string rest;
  for (const std::string_view piece : pieces) {
    if (status == HeadParser::Status::Done) {
      rest += piece;
      continue;
    }
    in.append(piece);
    status = parser.parse(in);
    if (status == HeadParser::Status::Error) {
      return "error " + std::to_string(parser.error().status) + " " +
             std::string(parser.error().detail);
    }
  }
  if (status == HeadParser::Status::NeedMore) return "incomplete";
  require_writable(map);
  const HeadFacts& facts = parser.facts();
  return describe(map) + "rest=" + in.to_string() + rest +
         "\nhead=" + std::to_string(parser.head_bytes()) +
         " length=" + std::to_string(facts.length) + " chunked=" + std::to_string(facts.chunked) +
         " codings=" + std::to_string(facts.transfer_encodings) +
         " hosts=" + std::to_string(facts.hosts) + " close=" + std::to_string(facts.close) +
         " keep=" + std::to_string(facts.keep_alive);
}

/// A head must mean the same however it arrives.
inline void check_head(HeadParser::Kind kind, std::string_view bytes) {
  const std::string whole = parse_pieces(kind, {bytes});
  for (const size_t longest : {1, 3, 40, 300}) {
    require_same("segmentation changes the meaning", whole,
                 parse_pieces(kind, cut(bytes, longest)));
  }
}

}  // namespace remora::http1::test
