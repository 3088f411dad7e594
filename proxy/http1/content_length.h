// What a header map that is about to be sent says about the length of its body. The stream's worker
// only.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::http1 {

/// The value of the one valid Content-Length; nullopt when there is none, more than one, or it is
/// no number.
inline std::optional<uint64_t> content_length_of(const http::HeaderMap& headers) {
  if (!headers.has(http::HeaderId::ContentLength)) return std::nullopt;
  if (headers.count(http::HeaderId::ContentLength) != 1) return std::nullopt;
  const std::string_view text = headers.get(http::HeaderId::ContentLength);
  int64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc() || end != text.data() + text.size() || length < 0 || text[0] == '-') {
    return std::nullopt;
  }
  return static_cast<uint64_t>(length);
}

}  // namespace remora::http1
