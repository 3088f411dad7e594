// Feeds a text in pieces of random sizes to the decoder: it must not matter how the text is cut,
// and what was accepted comes back when its parts are encoded again.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "filters/http/grpc_web/base64_stream.h"

namespace {

using remora::BlockPool;
using remora::Buffer;

std::optional<std::string> decode(std::string_view text, size_t piece) {
  BlockPool pool;
  Buffer out(pool);
  remora::grpc_web::Base64Decoder decoder;
  for (size_t at = 0; at < text.size(); at += piece) {
    if (!decoder.decode(text.substr(at, piece), out)) return std::nullopt;
  }
  if (!decoder.complete()) return std::nullopt;
  return out.to_string();
}

std::string encode(std::string_view bytes, size_t piece) {
  BlockPool pool;
  Buffer out(pool);
  remora::grpc_web::Base64Encoder encoder;
  for (size_t at = 0; at < bytes.size(); at += piece) {
    encoder.encode(bytes.substr(at, piece), out);
  }
  encoder.finish(out);
  return out.to_string();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] % 64 + 1;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::optional<std::string> decoded = decode(text, piece);
  if (decoded != decode(text, text.size() + 1)) std::abort();
  const bool one_text = text.substr(0, text.find('=')).size() + 3 > text.size();
  if (decoded && one_text && encode(*decoded, piece) != text) std::abort();
  if (decode(encode(text, piece), piece) != text) std::abort();
  return 0;
}
