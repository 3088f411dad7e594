// Response heads and trailers: no crash, nothing accepted that could not be written again, the same
// meaning in any segmentation.
#include "proxy/http1/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::http1;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  test::check_head(HeadParser::Kind::Response, bytes);
  test::check_head(HeadParser::Kind::Trailers, bytes);
  return 0;
}
