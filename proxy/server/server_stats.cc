#include "proxy/server/server_stats.h"

#include "proxy/server/admin/server_view.h"
#include "proxy/stats/names.h"

namespace remora::server {

using Stat = stats::ServerMainStat;

ServerStats::ServerStats(stats::Store& store, const Lifecycle& lifecycle,
                         const ConnectionLimit& connections)
    : lifecycle_(lifecycle),
      connections_(connections),
      main_index_(store.main_index()),
      group_(store.group<stats::ServerSchema>(stats::kServerPrefix)),
      runtime_(store.group<stats::RuntimeSchema>(stats::kRuntimePrefix)) {
  group_->set(Stat::concurrency, store.workers());
  // No certificate, no OCSP response: Envoy shows the largest number.
  group_->set(Stat::days_until_first_cert_expiring, UINT32_MAX);
  runtime_->inc(stats::RuntimeMainStat::load_success);
  before_scrape_ = store.before_scrape([this] { refresh(); });
}

void ServerStats::on_initialized(uint64_t took_ms) {
  group_->at(main_index_).record(stats::ServerHistogram::initialization_time_ms, took_ms);
}

void ServerStats::count_unknown(bool dynamic) {
  group_->inc(dynamic ? Stat::dynamic_unknown_fields : Stat::static_unknown_fields);
}

void ServerStats::refresh() {
  MemoryUse memory = memory_use();
  group_->set(Stat::memory_allocated, memory.allocated);
  group_->set(Stat::memory_heap_size, memory.heap);
  group_->set(Stat::memory_physical_size, memory.physical);
  group_->set(Stat::live, lifecycle_.state() == State::Live ? 1 : 0);
  group_->set(Stat::state, static_cast<uint64_t>(lifecycle_.state()));
  group_->set(Stat::uptime, (monotonic_now_ms() - lifecycle_.started_ms) / 1000);
  group_->set(Stat::total_connections, connections_.open());
}

}  // namespace remora::server
