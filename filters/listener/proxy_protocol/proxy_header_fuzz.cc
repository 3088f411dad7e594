// PROXY headers: no crash, nothing believed that two readers could take differently, the same
// answer in any segmentation.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "filters/listener/proxy_protocol/proxy_header.h"

namespace {

using namespace remora::filters;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_found(const ProxyHeader& header, std::string_view bytes) {
  check(header.length <= bytes.size());
  // What lies behind it has no say.
  check(read_proxy_header(bytes.substr(0, header.length), {}).length == header.length);
  if (header.own_addresses) return;
  check(header.source.is_ip() && header.source.family() == header.destination.family());
  check(!header.source.is_any() && !header.destination.is_any());
  std::string_view rest = header.extensions;
  while (!rest.empty()) check(take_proxy_extension(rest).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const ProxyHeader whole = read_proxy_header(bytes, {});
  for (size_t shown = 0; shown < size; ++shown) {
    const ProxyHeader part = read_proxy_header(bytes.substr(0, shown), {});
    if (part.result == ProxyHeader::Result::NeedMore) {
      check(part.wanted <= kMaxProxyHeaderBytes);
      continue;
    }
    check(part.result == whole.result);
    break;
  }
  if (whole.result == ProxyHeader::Result::Found) check_found(whole, bytes);
  return 0;
}
