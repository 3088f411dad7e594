// Iterating the network filters of a connection; see the header. Its worker's thread only.
#include "proxy/net/filter_chain.h"

#include <utility>

#include "proxy/net/listener.h"

namespace remora {

static_assert(sizeof(DownstreamConnection) > 900 && sizeof(DownstreamConnection) <= 1120);

namespace {

Connection make_connection(EventLoop& loop, const ListenerConfig& config,
                           const FilterChainConfig& chain, Socket socket, uint32_t worker) {
  ConnectionLimits limits;
  limits.buffer_bytes = config.per_connection_buffer_limit;
  auto transport = chain.transport->make(socket.fd(), {.worker = worker});
  return Connection(loop, std::move(socket), std::move(transport), limits);
}

}  // namespace

DownstreamConnection::DownstreamConnection(Listener& listener, Snapshot<ListenerConfig> config,
                                           const FilterChainConfig& chain, Socket socket,
                                           ConnectionFacts facts, ConnectionSlot slot)
    : listener_(listener),
      config_(std::move(config)),
      chain_(chain),
      facts_(std::move(facts)),
      slot_(std::move(slot)),
      connection_(make_connection(listener.environment().loop, *config_.get(), chain,
                                  std::move(socket), listener.environment().worker_index)) {
  facts_.filter_chain_name = chain_.name;
  facts_.listener_name = config_->name;
  connection_.set_handler(*this);
  connection_.set_id(facts_.connection_id);
  connection_.set_addresses(facts_.local, facts_.remote);
  filters_.reserve(chain_.filters.size());
  for (const auto& factory : chain_.filters) filters_.push_back(factory->make(*this));
}

DownstreamConnection::~DownstreamConnection() = default;

WorkerContext& DownstreamConnection::worker() { return listener_.environment().worker; }

void DownstreamConnection::begin() {
  connection_.begin();
  if (chain_.transport_connect_timeout_ms == 0) return;
  if (connection_.closing() || connection_.transport().ready()) return;
  transport_timer_ = std::make_unique<Timer>(
      connection_.loop().timers(),
      Timer::bind<&DownstreamConnection::on_transport_timeout, DownstreamConnection>(), this);
  transport_timer_->arm(chain_.transport_connect_timeout_ms);
}

void DownstreamConnection::on_connected() {
  transport_timer_.reset();
  facts_.tls = connection_.transport().tls();
  run_filters(0);
}

void DownstreamConnection::on_transport_timeout() {
  listener_.stats().inc(stats::ListenerStat::downstream_cx_transport_socket_connect_timeout);
  close(CloseHow::NoFlush, "transport socket timeout was reached");
}

void DownstreamConnection::on_data(Buffer&, bool) { run_filters(0); }

void DownstreamConnection::run_filters(size_t from) {
  iterating_ = true;
  size_t index = from;
  while (index < filters_.size() && run_filter(index)) ++index;
  stopped_at_ = index < filters_.size() ? index : kNoFilter;
  iterating_ = false;
}

bool DownstreamConnection::run_filter(size_t index) {
  NetworkFilter& filter = *filters_[index];
  continued_ = false;
  if (index >= started_) {
    started_ = index + 1;
    if (!passes(filter.on_new_connection())) return false;
    if (draining_) filter.on_drain();
  }
  // All filters look at the same bytes; the last one consumes them.
  Buffer& data = connection_.read_buffer();
  const bool end_stream = connection_.peer_ended() && index >= ended_;
  if (connection_.closing() || (data.empty() && !end_stream)) return !connection_.closing();
  if (end_stream) ended_ = index + 1;
  return passes(filter.on_data(data, end_stream));
}

bool DownstreamConnection::passes(NetworkFilter::Status status) {
  if (connection_.closing()) return false;
  return std::exchange(continued_, false) || status == NetworkFilter::Status::Continue;
}

void DownstreamConnection::continue_reading() {
  if (connection_.closing()) return;
  if (iterating_) {
    continued_ = true;
    return;
  }
  if (stopped_at_ == kNoFilter) return;
  run_filters(stopped_at_ + 1);
  // What was too much to hold may have been consumed now.
  connection_.resume_reading(kPauseByReadLimit);
}

bool DownstreamConnection::draining() const {
  return draining_ || (listener_.health_check_failed() && !config_->drain_modify_only);
}

void DownstreamConnection::drain() {
  if (draining_) return;
  draining_ = true;
  for (size_t i = 0; i < started_ && !connection_.closing(); ++i) filters_[i]->on_drain();
}

void DownstreamConnection::close(CloseHow how, std::string_view details) {
  if (details_.empty()) details_ = details;
  connection_.close(how);
}

void DownstreamConnection::on_closed(CloseCause cause) {
  transport_timer_.reset();
  if (cause == CloseCause::TransportError) facts_.transport_failure = connection_.failure_detail();
  for (auto& filter : filters_) filter->on_closed(cause);
  ConnectionEnd end{*config_.get(), facts_};
  end.cause = cause;
  end.bytes_received = connection_.bytes_read();
  end.bytes_sent = connection_.bytes_written();
  end.duration_us = (connection_.loop().now_ms() - connection_.opened_at()) * 1000;
  end.termination_details = details_;
  listener_.on_connection_closed(*this, end);
}

void DownstreamConnection::on_write_high_water() {
  for (auto& filter : filters_) filter->on_write_high_water();
}

void DownstreamConnection::on_write_low_water() {
  for (auto& filter : filters_) filter->on_write_low_water();
}

}  // namespace remora
