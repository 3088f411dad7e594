#include "proxy/telemetry/log_filter.h"

#include <algorithm>
#include <charconv>

#include "proxy/http/grpc.h"
#include "proxy/telemetry/grpc_status.h"

namespace remora::telemetry {

namespace {

using http::StreamInfo;

/// The number in the first eight hexadecimal digits of a request id (a UUID); `random` when it has
/// none.
uint64_t sample_of(const StreamInfo& info, uint64_t random) {
  constexpr size_t kDigits = 8;
  if (info.request_id.size() < kDigits) return random;
  uint64_t number = 0;
  const char* begin = info.request_id.data();
  auto [end, error] = std::from_chars(begin, begin + kDigits, number, 16);
  return error == std::errc() && end == begin + kDigits ? number : random;
}

struct Decide {
  const StreamInfo& info;
  uint64_t random;

  bool operator()(const LogFilter::Everything&) const { return true; }
  bool operator()(const LogFilter::StatusCode& f) const {
    return f.comparison.holds(info.response_code);
  }
  bool operator()(const LogFilter::DurationMs& f) const {
    uint64_t us = info.end_us > info.start_us ? info.end_us - info.start_us : 0;
    return f.comparison.holds(us / 1000);
  }
  bool operator()(const LogFilter::NotHealthCheck&) const { return !info.health_check; }
  bool operator()(const LogFilter::ResponseFlags& f) const {
    return f.bits == 0 ? info.flags.any() : (info.flags.bits() & f.bits) != 0;
  }
  bool operator()(const LogFilter::Header& f) const {
    return info.request_headers != nullptr && f.matches(*info.request_headers);
  }
  bool operator()(const LogFilter::GrpcStatus& f) const {
    constexpr auto kNone = static_cast<int64_t>(http::GrpcStatus::Unknown);
    const int64_t status = grpc_status_of(info).value_or(kNone);
    const bool listed = status >= 0 && status < 64 && (f.statuses >> status & 1) != 0;
    return listed != f.exclude;
  }
  bool operator()(const LogFilter::Sampled& f) const {
    return sample_of(info, random) % f.denominator < f.numerator;
  }
  bool operator()(const LogFilter::All& f) const {
    return std::all_of(f.of.begin(), f.of.end(),
                       [this](const LogFilter& one) { return one.wants(info, random); });
  }
  bool operator()(const LogFilter::Any& f) const {
    return std::any_of(f.of.begin(), f.of.end(),
                       [this](const LogFilter& one) { return one.wants(info, random); });
  }
};

}  // namespace

bool LogFilter::wants(const StreamInfo& info, uint64_t random) const {
  return std::visit(Decide{info, random}, what);
}

}  // namespace remora::telemetry
