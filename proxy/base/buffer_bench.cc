// The cost of carrying bytes: a small message, a large one moved from buffer to buffer.
#include <sys/uio.h>

#include <string>

#include "proxy/base/bench.h"
#include "proxy/base/buffer.h"

namespace remora {
namespace {

void append_and_consume(benchmark::State& state) {
  BlockPool pool;
  Buffer buffer(pool);
  const std::string message(300, 'x');
  for (auto _ : state) {
    buffer.append(message);
    benchmark::DoNotOptimize(buffer.front());
    buffer.consume(message.size());
  }
}
REMORA_BENCHMARK(append_and_consume);

/// As a body passes: read into one buffer, moved into another, gathered for writing.
void move_16k(benchmark::State& state) {
  BlockPool pool;
  Buffer in(pool);
  Buffer out(pool);
  iovec pieces[8];
  for (auto _ : state) {
    for (size_t left = 16384; left > 0;) {
      const size_t part = std::min(left, in.reserve().size());
      in.commit(part);
      left -= part;
    }
    out.append(in, in.size());
    benchmark::DoNotOptimize(out.gather(pieces, 8));
    out.clear();
  }
}
REMORA_BENCHMARK(move_16k);

}  // namespace
}  // namespace remora

BENCHMARK_MAIN();
