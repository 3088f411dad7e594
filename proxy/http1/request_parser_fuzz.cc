// Request heads: no crash, nothing accepted that could not be written again, the same meaning in
// any segmentation.
#include "proxy/http1/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::http1;
  test::check_head(HeadParser::Kind::Request, {reinterpret_cast<const char*>(data), size});
  return 0;
}
