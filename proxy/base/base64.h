// Base64 in its two alphabets (RFC 4648): strict when reading, so that one value has one spelling.
// Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace remora {

/// The URL-safe alphabet without padding, as JSON Web Tokens want it. Refuses padding, white space,
/// other characters, impossible lengths and bits left over that are not zero.
std::optional<std::string> decode_base64url(std::string_view text);

/// The standard alphabet with padding.
std::string encode_base64(std::string_view bytes);

}  // namespace remora
