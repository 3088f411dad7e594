// Digests for fingerprints and keys, as text. Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace remora::tls {

/// Hexadecimal, lower case. MD5 only where a format asks for it (JA3): it protects nothing.
std::string md5_hex(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);

}  // namespace remora::tls
