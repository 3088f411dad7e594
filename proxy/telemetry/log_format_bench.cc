// The cost of a line of the access log: Envoy's default format, and JSON.
#include <string>

#include "proxy/base/bench.h"
#include "proxy/telemetry/log_format.h"

namespace remora::telemetry {
namespace {

using http::HeaderId;

class Exchange {
 public:
  Exchange() {
    request_.add(HeaderId::Method, "GET");
    request_.add(HeaderId::Path, "/api/v1/products/12345");
    request_.add(HeaderId::Authority, "productpage.default.svc.cluster.local:9080");
    request_.add(HeaderId::UserAgent, "Mozilla/5.0");
    response_.add(HeaderId::Status, "200");
    facts_.local = *Address::from_ip("10.0.0.1", 8080);
    facts_.remote = facts_.direct_remote = *Address::from_ip("10.1.2.3", 4444);
    info.connection = &facts_;
    info.request_headers = &request_;
    info.response_headers = &response_;
    info.start_wall_ns = 1460751420'310'000'000;
    info.start_us = 1'000'000;
    info.end_us = 1'012'345;
    info.response_code = 200;
    info.bytes_sent = 1024;
    info.upstream_host = &host_;
    info.request_id = "8b344359-6719-4123-81de-e6ccda8c6153";
  }

  http::StreamInfo info;

 private:
  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_{arena_}, response_{arena_};
  ConnectionFacts facts_;
  Address host_ = *Address::from_ip("10.9.9.9", 80);
};

void lines(benchmark::State& state, const LogFormat& format) {
  const Exchange exchange;
  std::string out;
  for (auto _ : state) {
    out.clear();
    format.append(exchange.info, out);
    benchmark::DoNotOptimize(out.data());
  }
}

void default_format(benchmark::State& state) { lines(state, *LogFormat::text(kDefaultLogFormat)); }
REMORA_BENCHMARK(default_format);

void json_format(benchmark::State& state) {
  JsonTemplate::Fields fields = {
      {"method", {"%REQ(:METHOD)%"}},         {"path", {"%REQ(:PATH)%"}},
      {"code", {"%RESPONSE_CODE%"}},          {"flags", {"%RESPONSE_FLAGS%"}},
      {"duration", {"%DURATION%"}},           {"start", {"%START_TIME%"}},
      {"upstream", {"%UPSTREAM_HOST%"}},      {"authority", {"%REQ(:AUTHORITY)%"}},
      {"request_id", {"%REQ(X-REQUEST-ID)%"}}};
  lines(state, *LogFormat::json({std::move(fields)}));
}
REMORA_BENCHMARK(json_format);

}  // namespace
}  // namespace remora::telemetry

BENCHMARK_MAIN();
