// The first bytes of a connection as tls_inspector reads them: no crash, the same answer in any
// segmentation, and never a wait for fewer bytes than there are or for more than there may be.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "filters/listener/tls_inspector/client_hello.h"
#include "filters/listener/tls_inspector/fingerprint.h"

namespace {

using remora::filters::ClientHelloReader;
using Result = ClientHelloReader::Result;

constexpr size_t kMax = 16384;

void check(bool holds) {
  if (!holds) std::abort();
}

Result read_in_steps(ClientHelloReader& reader, std::string_view bytes, size_t step) {
  for (size_t size = 0;; size += step) {
    const Result result = reader.read(bytes.substr(0, size));
    if (result != Result::NeedMore) return result;
    check(reader.wanted() > std::min(size, bytes.size()) && reader.wanted() <= kMax);
    if (size >= bytes.size()) return result;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), std::min(size, kMax));
  ClientHelloReader whole(kMax);
  const Result expected = whole.read(bytes);
  for (const size_t step : {size_t{1}, size_t{7}, size_t{1000}}) {
    ClientHelloReader pieces(kMax);
    const Result result = read_in_steps(pieces, bytes, step);
    check(result == expected);
    if (result != Result::Found) continue;
    check(pieces.hello().server_name == whole.hello().server_name);
    check(pieces.hello().application_protocols == whole.hello().application_protocols);
  }
  if (expected != Result::Found) return 0;
  check(whole.looked_at() <= bytes.size());
  check(whole.hello().server_name.size() <= 255);
  check(remora::filters::ja3(whole.hello()).size() == 32);
  const size_t ja4_chars = remora::filters::ja4(whole.hello()).size();
  check(ja4_chars == 36 || ja4_chars == 38);  // an odd protocol is spelled in hexadecimal
  return 0;
}
