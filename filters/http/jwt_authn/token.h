// A JSON Web Token in its compact form, taken apart; nothing in it is proven yet. Pure; any thread.
// Documents: RFC 7515, RFC 7519.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "filters/http/jwt_authn/status.h"
#include "proxy/base/metadata.h"

namespace remora::jwt {

inline constexpr size_t kMaxTokenBytes = 64 * 1024;

struct Token {
  MetadataStruct header;
  MetadataStruct payload;
  std::string algorithm;
  std::string key_id;
  std::string issuer;
  std::string subject;
  std::vector<std::string> audiences;
  uint64_t not_before_s = 0;
  std::optional<uint64_t> expires_s;
  std::string signature;
  // Into the text that was parsed:
  std::string_view signed_part;   // header and payload as they came
  std::string_view payload_part;  // base64url
};

/// Ok or what is wrong. `out` refers to `text`.
Status parse_token(std::string_view text, Token& out);

/// Expiry and not-before, with `skew_s` of grace.
Status check_time(const Token& token, uint64_t now_s, uint64_t skew_s);

}  // namespace remora::jwt
