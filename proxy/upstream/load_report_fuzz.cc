// Load reports from hosts: no crash, and no weight that is not one. The first byte picks the form.
#include <cstdlib>
#include <string>

#include "proxy/base/arena.h"
#include "proxy/base/block_pool.h"
#include "proxy/upstream/load_report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora;
  if (size == 0) return 0;
  static BlockPool blocks;
  Arena arena(blocks);
  http::HeaderMap headers(arena);
  const std::string value(reinterpret_cast<const char*>(data) + 1, size - 1);
  headers.add(data[0] % 2 == 0 ? "endpoint-load-metrics" : "endpoint-load-metrics-bin", value);
  const auto report =
      upstream::read_load_report(headers, {"named_metrics.*", "utilization.a", "eps"});
  if (report) upstream::weight_by_report(*report, 1.0);
  return 0;
}
