// What a connection or request of a cluster counts: the cluster's metrics, the host's, and the
// places that circuit breakers limit, always together. The worker's thread.
#include "proxy/upstream/cluster.h"

namespace remora::upstream {
namespace {

using stats::ClusterHistogram;
using stats::ClusterStat;

}  // namespace

void Cluster::count_request_started(const Host& host, Priority priority) {
  stats().inc(ClusterStat::upstream_rq_total);
  stats().inc(ClusterStat::upstream_rq_active);
  host.counters.rq_total.fetch_add(1, std::memory_order_relaxed);
  host.counters.rq_active.fetch_add(1, std::memory_order_relaxed);
  shared_->counts(priority).take(Resource::Requests);
}

void Cluster::count_request_ended(const Host& host, Priority priority) {
  stats().dec(ClusterStat::upstream_rq_active);
  host.counters.rq_active.fetch_sub(1, std::memory_order_relaxed);
  shared_->counts(priority).release(Resource::Requests);
}

void Cluster::count_connection_opened(const Host& host) {
  stats().inc(ClusterStat::upstream_cx_total);
  stats().inc(ClusterStat::upstream_cx_active);
  host.counters.cx_total.fetch_add(1, std::memory_order_relaxed);
  host.counters.cx_active.fetch_add(1, std::memory_order_relaxed);
}

void Cluster::count_further_attempt(const Host& host) {
  stats().inc(ClusterStat::upstream_cx_total);
  host.counters.cx_total.fetch_add(1, std::memory_order_relaxed);
}

void Cluster::count_connect_failure(const Host& host, CloseCause cause) {
  stats().inc(ClusterStat::upstream_cx_connect_fail);
  if (cause == CloseCause::ConnectTimeout) stats().inc(ClusterStat::upstream_cx_connect_timeout);
  host.counters.cx_connect_fail.fetch_add(1, std::memory_order_relaxed);
}

void Cluster::count_connection_closed(const Host& host, Priority priority, bool by_peer,
                                      bool had_streams, uint64_t opened_us) {
  Stats& counts = stats();
  counts.dec(ClusterStat::upstream_cx_active);
  counts.inc(ClusterStat::upstream_cx_destroy);
  counts.inc(by_peer ? ClusterStat::upstream_cx_destroy_remote
                     : ClusterStat::upstream_cx_destroy_local);
  if (had_streams) {
    counts.inc(ClusterStat::upstream_cx_destroy_with_active_rq);
    counts.inc(by_peer ? ClusterStat::upstream_cx_destroy_remote_with_active_rq
                       : ClusterStat::upstream_cx_destroy_local_with_active_rq);
  }
  counts.record(ClusterHistogram::upstream_cx_length_ms, (loop().time().now_us - opened_us) / 1000);
  host.counters.cx_active.fetch_sub(1, std::memory_order_relaxed);
  shared_->counts(priority).release(Resource::Connections);
}

PoolFailure connect_failure_of(CloseCause cause) {
  return cause == CloseCause::ConnectTimeout ? PoolFailure::ConnectTimeout
                                             : PoolFailure::ConnectFailed;
}

std::string describe_connect_failure(CloseCause cause, std::string_view detail,
                                     bool failed_at_once) {
  if (cause == CloseCause::ConnectTimeout) return {};
  if (cause == CloseCause::TransportError) return std::string(detail);
  return (failed_at_once ? "immediate connect error: " : "delayed connect error: ") +
         std::string(detail);
}

bool caused_by_peer(CloseCause cause) {
  return cause == CloseCause::RemoteClose || cause == CloseCause::RemoteReset ||
         cause == CloseCause::ConnectFailed;
}

}  // namespace remora::upstream
