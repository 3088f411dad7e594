#include "filters/http/grpc_web/base64_stream.h"

#include <algorithm>
#include <array>

namespace remora::grpc_web {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0xff;
constexpr size_t kPiece = 1024;  // characters at a time

constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  for (uint8_t& value : values) value = kNone;
  for (size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  }
  return values;
}();

}  // namespace

bool Base64Decoder::decode(std::string_view text, Buffer& out) {
  std::array<char, kPiece + 3> bytes;
  while (!text.empty()) {
    size_t size = 0;
    for (char c : text.substr(0, kPiece)) {
      const uint8_t value = kValues[static_cast<unsigned char>(c)];
      const bool pad = c == '=' && count_ >= 2;
      if (!pad && (value == kNone || padding_ != 0)) return false;
      padding_ += pad ? 1 : 0;
      bits_ = bits_ << 6 | (pad ? 0 : value);
      if (++count_ < 4) continue;
      // Bits that no byte needs are zero, so that bytes have one spelling.
      if (padding_ != 0 && (bits_ & (padding_ == 1 ? 0xffu : 0xffffu)) != 0) return false;
      for (int shift = 16; shift >= 8 * padding_; shift -= 8) {
        bytes[size++] = static_cast<char>(bits_ >> shift & 0xff);
      }
      bits_ = count_ = padding_ = 0;
    }
    out.append({bytes.data(), size});
    text.remove_prefix(std::min(text.size(), kPiece));
  }
  return true;
}

void Base64Encoder::encode(std::string_view bytes, Buffer& out) {
  std::array<char, kPiece + 4> text;
  while (!bytes.empty()) {
    size_t size = 0;
    const std::string_view piece = bytes.substr(0, kPiece / 4 * 3);
    for (char c : piece) {
      bits_ = bits_ << 8 | static_cast<unsigned char>(c);
      if (++count_ < 3) continue;
      for (int shift = 18; shift >= 0; shift -= 6) text[size++] = kAlphabet[bits_ >> shift & 63];
      bits_ = count_ = 0;
    }
    out.append({text.data(), size});
    bytes.remove_prefix(piece.size());
  }
}

void Base64Encoder::finish(Buffer& out) {
  if (count_ == 0) return;
  const uint32_t bits = bits_ << (count_ == 1 ? 16 : 8);
  const std::array<char, 4> text = {kAlphabet[bits >> 18 & 63], kAlphabet[bits >> 12 & 63],
                                    count_ == 2 ? kAlphabet[bits >> 6 & 63] : '=', '='};
  out.append({text.data(), text.size()});
  bits_ = count_ = 0;
}

}  // namespace remora::grpc_web
