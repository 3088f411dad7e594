#include "proxy/telemetry/access_log.h"

namespace remora::telemetry {

void AccessLog::log(WorkerContext& worker, const http::StreamInfo& info) const {
  if (!std::holds_alternative<LogFilter::Everything>(filter_.what) &&
      !filter_.wants(info, worker.random()))
    return;
  format_->append(info, sink_.buffer_of(worker));
  sink_.entry_added(worker);
}

}  // namespace remora::telemetry
