// Makes ClientHellos for tests, piece by piece.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace remora::filters::test {

inline std::string u16(size_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number)};
}
inline std::string u16s(const std::vector<uint16_t>& numbers) {
  std::string out;
  for (uint16_t number : numbers) out += u16(number);
  return out;
}
inline std::string vector8(std::string_view bytes) {
  return static_cast<char>(bytes.size()) + std::string(bytes);
}
inline std::string vector16(std::string_view bytes) {
  return u16(bytes.size()) + std::string(bytes);
}
inline std::string extension(uint16_t type, std::string_view content) {
  return u16(type) + vector16(content);
}
inline std::string server_name(std::string_view name) {
  return extension(0, vector16('\0' + vector16(name)));
}
inline std::string protocols(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += vector8(name);
  return extension(16, vector16(list));
}

struct HelloParts {
  uint16_t version = 0x0303;
  std::string session_id = {};
  std::string cipher_suites = u16s({0x1301, 0x1302, 0x002f});
  std::string compression_methods = std::string(1, '\0');
  std::string extensions = {};
  std::string behind = {};  // bytes that do not belong there
};

/// The message's body.
inline std::string body(const HelloParts& parts) {
  std::string out = u16(parts.version) + std::string(32, 'R') + vector8(parts.session_id) +
                    vector16(parts.cipher_suites) + vector8(parts.compression_methods);
  if (!parts.extensions.empty()) out += vector16(parts.extensions);
  return out + parts.behind;
}
/// With type and length.
inline std::string message(std::string_view body) {
  return std::string("\x01\x00", 2) + u16(body.size()) + std::string(body);
}
inline std::string record(std::string_view content) {
  return std::string("\x16\x03\x01") + vector16(content);
}
inline std::string hello(const HelloParts& parts) { return record(message(body(parts))); }
inline std::string hello_with(std::string extensions) {
  HelloParts parts;
  parts.extensions = std::move(extensions);
  return hello(parts);
}

}  // namespace remora::filters::test
