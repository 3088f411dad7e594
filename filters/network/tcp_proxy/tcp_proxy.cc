#include "filters/network/tcp_proxy/tcp_proxy.h"

#include <optional>
#include <utility>

#include "filters/network/tcp_proxy/upstream_flush.h"
#include "proxy/http/stream_info.h"
#include "proxy/router/hash_policy.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/metadata_criteria.h"
#include "proxy/upstream/original_dst.h"
#include "proxy/upstream/worker_context.h"

namespace remora::tcp_proxy {

using http::ResponseFlag;
using stats::ClusterStat;
using stats::TcpStat;

constexpr uint16_t kServiceUnavailable = 503;  // what outlier detection takes failures for

// What every session costs beside its two connections.
static_assert(sizeof(TcpProxy) > 300 && sizeof(TcpProxy) <= 464);

Config::Destination Config::destination(uint64_t random) const {
  uint64_t ticket = total_weight == 0 ? 0 : random % total_weight;
  for (const WeightedCluster& candidate : weighted) {
    if (ticket < candidate.weight) return {candidate.name, candidate.metadata_match.get()};
    ticket -= candidate.weight;
  }
  return {cluster, metadata_match.get()};
}

TcpProxy::TcpProxy(const Config& config, NetworkFilterContext& context)
    : config_(config),
      context_(context),
      client_(context.connection()),
      stats_(config.stats->at(context.worker().index())),
      upstream_side_(*this),
      start_us_(context.worker().loop().time().now_us),
      idle_(context.worker().timers(), Timer::bind<&TcpProxy::on_idle, TcpProxy>(), this),
      duration_(context.worker().timers(), Timer::bind<&TcpProxy::on_duration_reached, TcpProxy>(),
                this) {
  stats_.inc(TcpStat::downstream_cx_total);
}

TcpProxy::~TcpProxy() = default;

// --- connecting ---

NetworkFilter::Status TcpProxy::on_new_connection() {
  // Until there is somebody to read for, what the client sends waits in the kernel.
  client_.pause_reading(kPauseByFilter);
  client_.set_detect_early_close(true);
  if (config_.max_connection_duration_ms != 0) duration_.arm(config_.max_connection_duration_ms);
  if (config_.log_interval_ms != 0) {
    log_timer_ = std::make_unique<Timer>(context_.worker().timers(),
                                         Timer::bind<&TcpProxy::on_log_interval, TcpProxy>(), this);
    log_timer_->arm(config_.log_interval_ms);
  }
  connect();
  return Status::StopIteration;
}

void TcpProxy::connect() {
  WorkerContext& worker = context_.worker();
  const auto& [name, metadata] = config_.destination(worker.random());
  upstream::Cluster* cluster = worker.clusters().find(name);
  if (cluster == nullptr) {
    stats_.inc(TcpStat::downstream_cx_no_route);
    return give_up(ResponseFlag::NC);
  }
  upstream::PickContext pick;
  cluster_ = upstream::ClusterPin(cluster->member_for(pick));
  cluster_name_ = &name;
  pick.random = worker.random();
  const ConnectionFacts& facts = context_.facts();
  std::optional<upstream::MetadataCriteria> merged;
  pick.metadata = metadata;
  if (const MetadataStruct* more = facts.metadata.find(upstream::kBalancingMetadata)) {
    merged.emplace(metadata != nullptr ? metadata->merged(*more)
                                       : upstream::MetadataCriteria(*more));
    pick.metadata = &*merged;
  }
  if (facts.local_restored) pick.original_destination = &facts.local;
  const auto& key = upstream::balancing_of(cluster_->config()).original_dst_metadata;
  if (!key.empty()) pick.override_host_metadata = upstream::destination_in(key, {&facts.metadata});
  if (config_.hash_source_ip) pick.hash = router::hash_of_ip(facts.remote);
  upstream::HostPtr host = cluster_->pick_host(pick);
  if (host == nullptr) return give_up(ResponseFlag::UH);
  upstream::ConnectionNeeds needs;
  needs.downstream = &facts;
  if (config_.tunneling != nullptr) {
    if (!start_tunnel(std::move(host), needs)) give_up(ResponseFlag::UO);
    return;
  }
  upstream::TcpAcquired acquired = cluster_->acquire_tcp(host, *this, needs);
  if (acquired.pending == nullptr) return give_up(ResponseFlag::UO);
  ++attempts_;
  host_ = std::move(host);
  connecting_ = std::move(acquired.pending);
}

void TcpProxy::on_tcp_failure(upstream::PoolFailure /*failure*/, std::string_view detail,
                              const upstream::HostPtr& host) {
  connecting_ = nullptr;
  connect_failed(detail, host);
}

void TcpProxy::connect_failed(std::string_view detail, const upstream::HostPtr& host) {
  host_ = host;
  if (upstream::OutlierMonitor* monitor = host == nullptr ? nullptr : host->monitor()) {
    monitor->on_local_failure(host, kServiceUnavailable);
  }
  failure_detail_ = detail;
  flags_.set(ResponseFlag::UF);
  if (attempts_ < config_.max_connect_attempts) return connect();
  cluster_->stats().inc(ClusterStat::upstream_cx_connect_attempts_exceeded);
  give_up(ResponseFlag::URX);
}

void TcpProxy::give_up(ResponseFlag flag) {
  flags_.set(flag);
  client_.close(CloseHow::NoFlush);
}

void TcpProxy::on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) {
  connecting_ = nullptr;
  upstream_ = std::move(connection);
  host_ = upstream_->host();
  Connection& server = upstream_->connection();
  server.set_handler(upstream_side_);
  begin_relay(server);
}

/// The way to the server is open.
void TcpProxy::begin_relay(const Connection& server) {
  if (upstream::OutlierMonitor* monitor = host_->monitor()) monitor->on_connected(host_, true);
  upstream_id_ = server.id();
  if (!config_.access_logs.empty()) upstream_local_ = server.local_address();
  active();
  if (config_.log_on_connected) log();
  client_.set_detect_early_close(false);  // from now on what it sent last is wanted
  if (client_.peer_ended()) forward(client_.read_buffer(), true);
  client_.resume_reading(kPauseByFilter);
}

// --- client to server ---

NetworkFilter::Status TcpProxy::on_data(Buffer& data, bool end_stream) {
  if (relaying()) {
    forward(data, end_stream);
  } else if (ending_ != Ending::None) {
    data.clear();
  }
  count_bytes();
  return Status::StopIteration;
}

void TcpProxy::forward(Buffer& data, bool end_stream) {
  active();
  if (tunnel_ != nullptr) {
    tunnel_->send(data, end_stream);
  } else {
    upstream_->connection().write(data, end_stream);
  }
}

void TcpProxy::Upstream::on_written(size_t /*bytes*/) {
  proxy_.active();
  proxy_.upstream_->count_bytes();
}

void TcpProxy::Upstream::on_write_high_water() { proxy_.stop_client(); }
void TcpProxy::Upstream::on_write_low_water() { proxy_.let_client_go_on(); }

void TcpProxy::stop_client() {
  stats_.inc(TcpStat::downstream_flow_control_paused_reading_total);
  client_.pause_reading(kPauseByPeerBuffer);
}

void TcpProxy::let_client_go_on() {
  stats_.inc(TcpStat::downstream_flow_control_resumed_reading_total);
  client_.resume_reading(kPauseByPeerBuffer);
}

// --- server to client ---

void TcpProxy::Upstream::on_data(Buffer& data, bool end_stream) {
  proxy_.active();
  proxy_.upstream_->count_bytes();
  proxy_.client_.write(data, end_stream);
}

void TcpProxy::on_written(size_t /*bytes*/) {
  active();
  count_bytes();
  if (ending_ != Ending::None && client_.write_buffer().empty()) on_client_served();
}

void TcpProxy::on_write_high_water() {
  count_bytes();
  if (!relaying()) return;
  cluster_->stats().inc(ClusterStat::upstream_flow_control_paused_reading_total);
  if (tunnel_ != nullptr) return tunnel_->pause_receiving();
  upstream_->connection().pause_reading(kPauseByPeerBuffer);
}

void TcpProxy::on_write_low_water() {
  if (!relaying()) return;
  cluster_->stats().inc(ClusterStat::upstream_flow_control_resumed_reading_total);
  if (tunnel_ != nullptr) return tunnel_->resume_receiving();
  upstream_->connection().resume_reading(kPauseByPeerBuffer);
}

// --- the server has gone ---

void TcpProxy::Upstream::on_closed(CloseCause cause) {
  if (proxy_.upstream_ == nullptr) return;  // let go of already
  // A reset after the end means only that the server takes nothing any more.
  const bool reset =
      cause == CloseCause::RemoteReset && !proxy_.upstream_->connection().peer_ended();
  proxy_.upstream_ = nullptr;
  if (reset) proxy_.flags_.set(ResponseFlag::UR);
  proxy_.end_client(reset ? Ending::Reset : Ending::Close);
}

void TcpProxy::end_client(Ending how) {
  cluster_ = {};
  if (client_.closing()) return;
  ending_ = how;
  if (how == Ending::Close && !client_.write_ended()) {
    Buffer nothing(context_.worker().blocks());
    client_.write(nothing, true);
  }
  client_.resume_reading(kPauseByPeerBuffer);  // what it still sends is for nobody
  if (client_.write_buffer().empty()) on_client_served();
}

// The client has been sent everything. May be called from inside its flush.
void TcpProxy::on_client_served() {
  if (ending_ == Ending::Reset) {
    idle_.arm(0);
    return;
  }
  idle_.disarm();
  client_.set_delayed_close_ms(kLingerMs);
  client_.close(CloseHow::FlushAndWait);
}

// --- the client has gone ---

void TcpProxy::on_closed(CloseCause cause) {
  idle_.disarm();
  duration_.disarm();
  log_timer_.reset();
  connecting_ = nullptr;
  if (upstream_ != nullptr) end_upstream(cause);
  drop_tunnel();
  count_bytes();
  count_buffered(0, 0);
  log();
  cluster_ = {};
}

void TcpProxy::end_upstream(CloseCause cause) {
  std::unique_ptr<upstream::TcpConnection> upstream = std::move(upstream_);
  if (cause == CloseCause::LocalClose) return;
  Connection& server = upstream->connection();
  if (server.write_buffer().empty()) {
    if (cause == CloseCause::RemoteReset && !client_.peer_ended()) {
      server.close(CloseHow::Abort);
      return;
    }
    if (server.peer_ended() && !server.transport().secure()) return;
  }
  // What the client sent before it left is still delivered.
  UpstreamFlush::start(std::move(upstream), config_.stats, context_.worker(),
                       config_.idle_timeout_ms);
}

// --- deadlines ---

void TcpProxy::active() {
  if (config_.idle_timeout_ms != 0) idle_.arm(config_.idle_timeout_ms);
}

void TcpProxy::on_idle() {
  if (ending_ == Ending::Reset && client_.write_buffer().empty()) {
    client_.close(CloseHow::Abort);
    return;
  }
  stats_.inc(TcpStat::idle_timeout);
  if (tunnel_ != nullptr && !tunnel_->open()) flags_.set(ResponseFlag::UF);
  client_.close(CloseHow::NoFlush);
}

void TcpProxy::on_duration_reached() {
  stats_.inc(TcpStat::max_downstream_connection_duration);
  flags_.set(ResponseFlag::DT);
  client_.close(CloseHow::NoFlush);
}

void TcpProxy::on_log_interval() {
  log_timer_->arm(config_.log_interval_ms);
  log();
}

// --- counting and the log ---

void TcpProxy::count_bytes() {
  const uint64_t received = client_.bytes_read();
  const uint64_t sent = client_.bytes_written();
  stats_.add(TcpStat::downstream_cx_rx_bytes_total,
             received - std::exchange(rx_counted_, received));
  stats_.add(TcpStat::downstream_cx_tx_bytes_total, sent - std::exchange(tx_counted_, sent));
  count_buffered(client_.read_buffer().size(), client_.write_buffer().size());
}

void TcpProxy::count_buffered(size_t received, size_t to_send) {
  if (received != rx_buffered_) {
    stats_.add(TcpStat::downstream_cx_rx_bytes_buffered, received);
    stats_.sub(TcpStat::downstream_cx_rx_bytes_buffered, std::exchange(rx_buffered_, received));
  }
  if (to_send != tx_buffered_) {
    stats_.add(TcpStat::downstream_cx_tx_bytes_buffered, to_send);
    stats_.sub(TcpStat::downstream_cx_tx_bytes_buffered, std::exchange(tx_buffered_, to_send));
  }
}

void TcpProxy::log() {
  if (config_.access_logs.empty()) return;
  const http::StreamInfo info = facts();
  for (const auto& log : config_.access_logs) log->log(context_.worker(), info);
}

http::StreamInfo TcpProxy::facts() const {
  http::StreamInfo info;
  info.is_http = false;
  info.connection = &context_.facts();
  info.remote = context_.facts().remote;
  info.start_wall_ns = context_.facts().accepted_at_ns;
  info.start_us = start_us_;
  info.end_us = context_.worker().loop().time().now_us;
  info.flags = flags_;
  info.connection_termination_details = context_.termination_details();
  info.bytes_received = info.wire_bytes_received = client_.bytes_read();
  info.bytes_sent = info.wire_bytes_sent = client_.bytes_written();
  if (cluster_name_ != nullptr) info.upstream_cluster = *cluster_name_;
  if (host_ != nullptr) info.upstream_host = &host_->address();
  info.upstream_local = upstream_local_;
  info.upstream_transport_failure = failure_detail_;
  info.upstream_connection_id = upstream_id_;
  info.attempt_count = attempts_;
  return info;
}

std::unique_ptr<NetworkFilter> TcpProxyFactory::make(NetworkFilterContext& context) const {
  return std::make_unique<TcpProxy>(config_, context);
}

}  // namespace remora::tcp_proxy
