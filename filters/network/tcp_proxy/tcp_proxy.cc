#include "filters/network/tcp_proxy/tcp_proxy.h"

#include <utility>

#include "proxy/telemetry/access_log.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::tcp_proxy {

using http::ResponseFlag;
using stats::ClusterStat;
using stats::TcpStat;

const std::string& Config::cluster_for(uint64_t random) const {
  if (total_weight == 0) return cluster;
  uint64_t ticket = random % total_weight;
  for (const WeightedCluster& candidate : weighted) {
    if (ticket < candidate.weight) return candidate.name;
    ticket -= candidate.weight;
  }
  return cluster;
}

TcpProxy::TcpProxy(std::shared_ptr<const Config> config, NetworkFilterContext& context)
    : config_(std::move(config)),
      context_(context),
      client_(context.connection()),
      stats_(config_->stats->at(context.worker().index())),
      upstream_side_(*this),
      idle_(context.worker().timers(), Timer::bind<&TcpProxy::on_idle, TcpProxy>(), this),
      duration_(context.worker().timers(), Timer::bind<&TcpProxy::on_duration_reached, TcpProxy>(),
                this) {}

TcpProxy::~TcpProxy() = default;

// -----------------------------------------------------------------------------------------------------
// connecting

NetworkFilter::Status TcpProxy::on_new_connection() {
  const TurnTime& time = context_.worker().loop().time();
  info_.is_http = false;
  info_.connection = &context_.facts();
  info_.remote = context_.facts().remote;
  info_.start_wall_ns = time.wall_ns;
  info_.start_us = time.now_us;
  stats_.inc(TcpStat::downstream_cx_total);
  client_.set_half_close(true);
  client_.set_detect_early_close(true);
  client_.pause_reading(kPauseByFilter);  // until there is somebody to read for
  if (config_->max_connection_duration_ms != 0) duration_.arm(config_->max_connection_duration_ms);

  const std::string& name = config_->cluster_for(context_.worker().random());
  upstream::Cluster* cluster = context_.worker().clusters().find(name);
  if (cluster == nullptr) {
    stats_.inc(TcpStat::downstream_cx_no_route);
    give_up(ResponseFlag::NC);
    return Status::StopIteration;
  }
  cluster_ = upstream::ClusterPin(*cluster);
  info_.upstream_cluster = name;
  connect();
  return Status::StopIteration;
}

void TcpProxy::connect() {
  info_.attempt_count = ++attempts_;
  upstream::PickContext context;
  context.random = context_.worker().random();
  if (context_.facts().local_restored) context.original_destination = &context_.facts().local;
  host_ = cluster_->pick_host(context);
  if (host_ == nullptr) return give_up(ResponseFlag::UH);
  info_.upstream_host = &host_->address();
  upstream::TcpAcquired acquired = cluster_->acquire_tcp(host_, *this);
  if (acquired.pending == nullptr) return give_up(ResponseFlag::UO);
  connecting_ = std::move(acquired.pending);
}

void TcpProxy::on_tcp_failure(upstream::PoolFailure failure, std::string_view detail,
                              const upstream::HostPtr& host) {
  connecting_ = nullptr;
  failure_detail_ = detail;
  info_.upstream_transport_failure = failure_detail_;
  if (failure == upstream::PoolFailure::Overflow) return give_up(ResponseFlag::UO);
  if (attempts_ < config_->max_connect_attempts) return connect();
  cluster_->stats().inc(ClusterStat::upstream_cx_connect_attempts_exceeded);
  give_up(ResponseFlag::UF);
}

void TcpProxy::give_up(ResponseFlag flag) {
  info_.flags.set(flag);
  client_.close(CloseHow::NoFlush);
}

void TcpProxy::on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) {
  connecting_ = nullptr;
  upstream_ = std::move(connection);
  host_ = upstream_->host();
  Connection& server = upstream_->connection();
  server.set_handler(upstream_side_);
  info_.upstream_host = &host_->address();
  info_.upstream_connection_id = server.id();
  info_.upstream_local = server.local_address();
  active();
  client_.resume_reading(kPauseByFilter);
}

// ----------------------------------------------------------------------------------------------------
// client to server

NetworkFilter::Status TcpProxy::on_data(Buffer& data, bool end_stream) {
  if (upstream_ == nullptr) return Status::StopIteration;  // stays in the read buffer
  active();
  upstream_->connection().write(data, end_stream || client_.peer_ended());
  return Status::StopIteration;
}

void TcpProxy::on_write_high_water() {
  if (upstream_ != nullptr) upstream_->connection().pause_reading(kPauseByPeerBuffer);
}

void TcpProxy::on_write_low_water() {
  if (upstream_ != nullptr) upstream_->connection().resume_reading(kPauseByPeerBuffer);
}

void TcpProxy::on_closed(CloseCause cause) {
  idle_.disarm();
  duration_.disarm();
  connecting_ = nullptr;
  if (upstream_ != nullptr) {
    if (cause == CloseCause::LocalClose) {
      upstream_ = nullptr;
    } else {
      // What the client sent before it left is still delivered.
      if (!upstream_->connection().write_buffer().empty()) {
        stats_.inc(TcpStat::upstream_flush_total);
      }
      upstream::TcpConnection::finish(std::move(upstream_));
    }
  }
  count_bytes();
  log(cause);
}

// ----------------------------------------------------------------------------------------------------
// server to client

void TcpProxy::Upstream::on_data(Buffer& data, bool end_stream) {
  proxy_.active();
  proxy_.upstream_->count_bytes();
  proxy_.client_.write(data, end_stream || proxy_.upstream_->connection().peer_ended());
}

void TcpProxy::Upstream::on_written(size_t bytes) { proxy_.upstream_->count_bytes(); }

void TcpProxy::Upstream::on_write_high_water() {
  proxy_.stats_.inc(TcpStat::downstream_flow_control_paused_reading_total);
  proxy_.client_.pause_reading(kPauseByPeerBuffer);
}

void TcpProxy::Upstream::on_write_low_water() {
  proxy_.stats_.inc(TcpStat::downstream_flow_control_resumed_reading_total);
  proxy_.client_.resume_reading(kPauseByPeerBuffer);
}

void TcpProxy::Upstream::on_closed(CloseCause cause) {
  TcpProxy& proxy = proxy_;
  if (proxy.upstream_ == nullptr) return;
  proxy.upstream_->count_bytes();
  proxy.upstream_ = nullptr;
  // Everything that the server said reaches the client first.
  if (!proxy.client_.closing()) proxy.client_.close(CloseHow::Flush);
}

// --------------------------------------------------------------------------------------------------------
// deadlines

uint64_t TcpProxy::bytes_moved() const {
  uint64_t moved = client_.bytes_read() + client_.bytes_written();
  if (upstream_ != nullptr) {
    moved += upstream_->connection().bytes_read() + upstream_->connection().bytes_written();
  }
  return moved;
}

void TcpProxy::active() {
  if (config_->idle_timeout_ms == 0) return;
  idle_.arm(config_->idle_timeout_ms);
  moved_when_armed_ = bytes_moved();
}

void TcpProxy::on_idle() {
  // Bytes that left a buffer late count as activity too.
  if (bytes_moved() != moved_when_armed_) return active();
  stats_.inc(TcpStat::idle_timeout);
  client_.close(CloseHow::NoFlush);
}

void TcpProxy::on_duration_reached() {
  stats_.inc(TcpStat::max_downstream_connection_duration);
  info_.flags.set(ResponseFlag::DT);
  client_.close(CloseHow::NoFlush);
}

// -----------------------------------------------------------------------------------------------
// counting and the log

void TcpProxy::count_bytes() {
  stats_.add(TcpStat::downstream_cx_rx_bytes_total, client_.bytes_read() - rx_counted_);
  stats_.add(TcpStat::downstream_cx_tx_bytes_total, client_.bytes_written() - tx_counted_);
  rx_counted_ = client_.bytes_read();
  tx_counted_ = client_.bytes_written();
}

void TcpProxy::log(CloseCause cause) {
  info_.bytes_received = info_.wire_bytes_received = client_.bytes_read();
  info_.bytes_sent = info_.wire_bytes_sent = client_.bytes_written();
  info_.end_us = context_.worker().loop().time().now_us;
  for (const auto& log : config_->access_logs) log->log(info_);
}

std::unique_ptr<NetworkFilter> TcpProxyFactory::make(NetworkFilterContext& context) const {
  return std::make_unique<TcpProxy>(config_, context);
}

}  // namespace remora::tcp_proxy
