// The first bytes of a connection as http_inspector reads them: no crash, and the same answer in
// any segmentation.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "filters/listener/http_inspector/first_line.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using remora::filters::FirstLineReader;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto expected = FirstLineReader().read(bytes);
  for (const size_t step : {size_t{1}, size_t{5}}) {
    FirstLineReader pieces;
    auto result = FirstLineReader::Result::NeedMore;
    for (size_t shown = 0; result == FirstLineReader::Result::NeedMore; shown += step) {
      result = pieces.read(bytes.substr(0, shown));
      if (shown >= size) break;
    }
    if (result != expected) std::abort();
  }
  return 0;
}
