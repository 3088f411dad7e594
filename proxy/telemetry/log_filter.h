// Chooses which requests an access log records. A value compiled from
// envoy.config.accesslog.v3.AccessLogFilter.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "proxy/http/stream_info.h"

namespace remora::telemetry {

struct LogFilter {
  struct Comparison {
    enum class Op : uint8_t { Equal, AtLeast, AtMost } op = Op::Equal;
    uint64_t value = 0;
    bool holds(uint64_t given) const {
      return op == Op::Equal ? given == value : op == Op::AtLeast ? given >= value : given <= value;
    }
  };

  struct Everything {};
  struct StatusCode {
    Comparison comparison;
  };
  struct DurationMs {
    Comparison comparison;
  };
  struct NotHealthCheck {};
  /// Any of the flags; any flag at all when empty.
  struct ResponseFlags {
    uint64_t bits = 0;
  };
  /// A header matcher, compiled by whoever knows them. A TCP session has no headers: not recorded.
  struct Header {
    std::function<bool(const http::HeaderMap&)> matches;
  };
  struct GrpcStatus {
    uint64_t statuses = 0;  // bit per status
    bool exclude = false;
  };
  /// A share of the requests; the same ones at every proxy on the way, when they have request ids.
  struct Sampled {
    uint32_t numerator = 0, denominator = 100;
  };
  struct All {
    std::vector<LogFilter> of;
  };
  struct Any {
    std::vector<LogFilter> of;
  };

  std::variant<Everything, StatusCode, DurationMs, NotHealthCheck, ResponseFlags, Header,
               GrpcStatus, Sampled, All, Any>
      what;

  /// `random` is for requests without an id.
  bool wants(const http::StreamInfo& info, uint64_t random) const;
};

}  // namespace remora::telemetry
