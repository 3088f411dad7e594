#include "filters/network/tcp_proxy/upstream_flush.h"

#include <utility>

namespace remora::tcp_proxy {

using stats::TcpStat;

void UpstreamFlush::start(std::unique_ptr<upstream::TcpConnection> upstream, StatsGroup stats,
                          WorkerContext& worker, uint64_t idle_timeout_ms) {
  auto* flush = new UpstreamFlush(std::move(upstream), std::move(stats), worker, idle_timeout_ms);
  flush->run();
}

UpstreamFlush::UpstreamFlush(std::unique_ptr<upstream::TcpConnection> upstream, StatsGroup stats,
                             WorkerContext& worker, uint64_t idle_timeout_ms)
    : upstream_(std::move(upstream)),
      group_(std::move(stats)),
      stats_(group_->at(worker.index())),
      idle_timeout_ms_(idle_timeout_ms),
      counted_(!upstream_->connection().write_buffer().empty()),
      idle_(worker.timers(), Timer::bind<&UpstreamFlush::on_idle, UpstreamFlush>(), this) {}

void UpstreamFlush::run() {
  Connection& server = upstream_->connection();
  server.set_handler(*this);
  if (counted_) {
    stats_.inc(TcpStat::upstream_flush_total);
    stats_.inc(TcpStat::upstream_flush_active);
  }
  active();
  if (!server.write_ended()) {
    Buffer nothing(server.loop().blocks());
    server.write(nothing, true);
  }
  server.resume_reading(kPauseByPeerBuffer);
  if (server.write_buffer().empty()) linger();
}

void UpstreamFlush::linger() {
  idle_.disarm();
  Connection& server = upstream_->connection();
  server.set_delayed_close_ms(kLingerMs);
  server.close(CloseHow::FlushAndWait);
}

void UpstreamFlush::active() {
  if (idle_timeout_ms_ != 0) idle_.arm(idle_timeout_ms_);
}

void UpstreamFlush::on_idle() {
  stats_.inc(TcpStat::idle_timeout);
  upstream_->connection().close(CloseHow::NoFlush);
}

void UpstreamFlush::on_data(Buffer& data, bool /*end_stream*/) {
  upstream_->count_bytes();
  data.clear();
}

void UpstreamFlush::on_written(size_t /*bytes*/) {
  active();
  upstream_->count_bytes();
  if (upstream_->connection().write_buffer().empty()) linger();
}

void UpstreamFlush::on_closed(CloseCause /*cause*/) {
  if (counted_) stats_.dec(TcpStat::upstream_flush_active);
  idle_.disarm();
  Connection& server = upstream_->connection();
  server.loop().defer_delete(std::unique_ptr<Deferrable>(this));
  upstream_ = nullptr;
}

}  // namespace remora::tcp_proxy
