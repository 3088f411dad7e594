// JSON from outside: no crash, and what is read and written again reads the same.
#include <cstdlib>
#include <string>

#include "proxy/base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora;
  const auto value = parse_json({reinterpret_cast<const char*>(data), size});
  if (!value) return 0;
  std::string text;
  append_json(*value, text);
  const auto again = parse_json(text);
  if (!again || !(*again == *value)) std::abort();
  return 0;
}
