#include "proxy/telemetry/connection_log.h"

#include "proxy/telemetry/access_log.h"

namespace remora::telemetry {

void log_connection(WorkerContext& worker, const ConnectionEnd& end) {
  if (end.listener.access_logs.empty()) return;
  const TurnTime& now = worker.loop().time();
  http::StreamInfo info;
  info.connection = &end.facts;
  info.is_http = false;
  info.remote = end.facts.remote;
  info.start_wall_ns = end.facts.accepted_at_ns;
  info.end_us = now.now_us;
  info.start_us = now.now_us - std::min(now.now_us, end.duration_us);
  info.bytes_received = info.wire_bytes_received = end.bytes_received;
  info.bytes_sent = info.wire_bytes_sent = end.bytes_sent;
  info.connection_termination_details = end.termination_details;
  if (end.no_filter_chain) {
    info.flags.set(http::ResponseFlag::NR);
    info.response_code_details = "filter_chain_not_found";
  }
  for (const auto& log : end.listener.access_logs) log->log(worker, info);
}

}  // namespace remora::telemetry
