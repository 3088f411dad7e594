// The cost of a typical request: its head parsed, and written again for an upstream.
#include <string_view>

#include "proxy/base/bench.h"
#include "proxy/http1/head_writer.h"
#include "proxy/http1/parser.h"

namespace remora::http1 {
namespace {

constexpr std::string_view kRequest =
    "GET /api/v1/products/12345?fields=name,price HTTP/1.1\r\n"
    "Host: productpage.default.svc.cluster.local:9080\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
    "Accept: application/json, text/plain, */*\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    "X-Request-Id: 11111111-2222-4333-8444-555555555555\r\n"
    "X-Forwarded-For: 10.1.2.3\r\n"
    "X-Forwarded-Proto: http\r\n"
    "X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\n"
    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n"
    "\r\n";

void parse_request(benchmark::State& state) {
  BlockPool pool;
  Arena arena(pool);
  Buffer in(pool);
  HeadParser parser(HeadParser::Kind::Request, {});
  for (auto _ : state) {
    in.append(kRequest);
    auto* map = arena.make<http::HeaderMap>(arena);
    parser.start(*map);
    if (parser.parse(in) != HeadParser::Status::Done) state.SkipWithError("not parsed");
    benchmark::DoNotOptimize(map->path());
    arena.reset();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * kRequest.size()));
}
REMORA_BENCHMARK(parse_request);

void write_head(benchmark::State& state) {
  BlockPool pool;
  Arena arena(pool);
  Buffer in(pool);
  Buffer out(pool);
  http::HeaderMap map(arena);
  HeadParser parser(HeadParser::Kind::Request, {});
  in.append(kRequest);
  parser.start(map);
  parser.parse(in);
  for (auto _ : state) {
    HeadWriter writer(out, HeadWriter::size_of_fields(map) + 64);
    for (const http::HeaderEntry& entry : map.entries()) writer.field(entry.name, entry.value);
    benchmark::DoNotOptimize(writer.finish());
    out.clear();
  }
}
REMORA_BENCHMARK(write_head);

}  // namespace
}  // namespace remora::http1

BENCHMARK_MAIN();
