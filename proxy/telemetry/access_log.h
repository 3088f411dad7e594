// One access log: which requests, in what format, to where. Compiled on the main thread, shared by
// the workers.
#pragma once

#include <memory>

#include "proxy/http/stream_info.h"
#include "proxy/telemetry/log_filter.h"
#include "proxy/telemetry/log_format.h"
#include "proxy/telemetry/log_sink.h"
#include "proxy/upstream/worker_context.h"

namespace remora::telemetry {

class AccessLog {
 public:
  /// `sink` outlives all logs.
  AccessLog(LogSink& sink, std::shared_ptr<const LogFormat> format, LogFilter filter = {})
      : sink_(sink), format_(std::move(format)), filter_(std::move(filter)) {}

  /// Records a request, or a TCP session, that is over. The worker's thread.
  void log(WorkerContext& worker, const http::StreamInfo& info) const;

 private:
  LogSink& sink_;
  const std::shared_ptr<const LogFormat> format_;
  const LogFilter filter_;
};

}  // namespace remora::telemetry
