// A listener's own access logs: one entry per connection that is over. Worker's thread.
#pragma once

#include "proxy/net/listener_environment.h"
#include "proxy/upstream/worker_context.h"

namespace remora::telemetry {

/// Fits ListenerEnvironment::log_connection.
void log_connection(WorkerContext& worker, const ConnectionEnd& end);

}  // namespace remora::telemetry
