// Makes PROXY headers for tests.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace remora::filters::test {

inline std::string number16(size_t number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number)};
}
inline std::string ipv4(const char* source, uint16_t source_port, const char* destination,
                        uint16_t destination_port) {
  std::string out(8, '\0');
  inet_pton(AF_INET, source, out.data());
  inet_pton(AF_INET, destination, out.data() + 4);
  return out + number16(source_port) + number16(destination_port);
}
inline std::string tlv(uint8_t type, std::string_view value) {
  return static_cast<char>(type) + number16(value.size()) + std::string(value);
}
inline std::string v2(uint8_t version_and_command, uint8_t family_and_transport,
                      std::string_view content) {
  std::string out("\r\n\r\n\0\r\nQUIT\n", 12);
  out.push_back(static_cast<char>(version_and_command));
  out.push_back(static_cast<char>(family_and_transport));
  return out + number16(content.size()) + std::string(content);
}

}  // namespace remora::filters::test
