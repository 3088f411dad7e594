// Accepting and choosing the filter chain; draining is in listener_drain.cc. Its worker's thread
// only.
#include "proxy/net/listener.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/base/log.h"

namespace remora {
namespace {

/// How long to leave clients in the kernel's queue when descriptors or memory have run out.
constexpr uint64_t kAcceptPauseMs = 100;
constexpr size_t kMinPeekBytes = 1;

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Listener::Door::Door(Listener& owner, Socket listening)
    : listener(owner),
      socket(std::move(listening)),
      address(local_address_of(socket.fd())),
      event(owner.environment_.loop, socket.fd(), FdEvent::Trigger::Level, FdEvent::kRead,
            FdEvent::bind<&Door::on_ready, Door>(), this) {}

Listener::Listener(ListenerEnvironment& environment, ListenerDirectory& directory,
                   const std::shared_ptr<const ListenerConfig>& config, std::vector<Socket> sockets)
    : environment_(environment),
      directory_(directory),
      config_(config),
      stats_group_(config->stats),
      stats_(stats_group_->at(environment.worker_index)),
      accept_timer_(environment.loop.timers(), Timer::bind<&Listener::resume_accepting, Listener>(),
                    this),
      drain_timer_(environment.loop.timers(), Timer::bind<&Listener::run_drain, Listener>(), this) {
  for (Socket& socket : sockets) {
    set_keepalive(socket.fd(), config->keepalive);  // accepted sockets inherit it
    doors_.push_back(std::make_unique<Door>(*this, std::move(socket)));
  }
}

Listener::~Listener() {
  doors_.clear();
  accepted_.for_each([](AcceptedSocket& accepted) { delete &accepted; });
  connections_.for_each([](DownstreamConnection& connection) { delete &connection; });
}

// --- accepting ---

void Listener::accept_from(Door& door) {
  const uint32_t bound = config_->max_accepts_per_event;
  uint32_t accepted = 0;
  // Level-triggered: what stays in the queue comes up again.
  while (!stopped_ && !paused_ && (bound == 0 || accepted < bound)) {
    Address peer;
    Socket socket = accept_one(door.socket.fd(), &peer);
    if (socket) {
      ++accepted;
      admit(std::move(socket), peer, door);
      continue;
    }
    if (errno == EAGAIN) break;
    if (out_of_resources(errno)) {
      on_accept_failure(errno);
      break;
    }
    // ECONNABORTED and the like concern one client only.
  }
  if (accepted > 0) {
    stats_.record(stats::ListenerHistogram::connections_accepted_per_socket_event, accepted);
  }
}

void Listener::on_accept_failure(int error) {
  LOG_WARNING(conn_handler, "listener '{}': accept failed: {}; pausing for {} ms", config_->name,
              std::strerror(error), kAcceptPauseMs);
  pause_accepting();
  accept_timer_.arm(kAcceptPauseMs);
}

void Listener::admit(Socket socket, const Address& peer, const Door& door) {
  ConnectionSlot slot;
  if (environment_.connection_limit != nullptr && !config_->ignore_global_connection_limit) {
    if (!environment_.connection_limit->try_take()) {
      stats_.inc(stats::ListenerStat::downstream_global_cx_overflow);
      return;
    }
    slot = ConnectionSlot(*environment_.connection_limit);
  }
  ConnectionFacts facts;
  facts.direct_local = facts.local = local_of(socket, door);
  facts.direct_remote = facts.remote = peer.unmapped();
  facts.accepted_at_ns = environment_.loop.time().wall_ns;
  if (environment_.next_connection_id != nullptr) {
    facts.connection_id = environment_.next_connection_id(environment_.worker);
  }
  start_filters(std::move(socket), std::move(facts), std::move(slot), false);
}

/// A socket bound to one address accepts at that address, unless it is transparent: no need to ask
/// the kernel.
Address Listener::local_of(const Socket& socket, const Door& door) const {
  if (!door.address.is_any() && !config_->transparent) return door.address.unmapped();
  return local_address_of(socket.fd()).unmapped();
}

void Listener::take_over(Socket socket, ConnectionFacts facts, ConnectionSlot slot) {
  start_filters(std::move(socket), std::move(facts), std::move(slot), true);
}

// --- listener filters ---

void Listener::start_filters(Socket socket, ConnectionFacts facts, ConnectionSlot slot,
                             bool handed_over) {
  auto* accepted = new AcceptedSocket(*this, config_, std::move(socket), std::move(facts),
                                      std::move(slot), handed_over);
  accepted_.push_back(*accepted);
  stats_.inc(stats::ListenerStat::downstream_pre_cx_active);
  accepted->run();
}

std::span<char> Listener::peek_buffer(size_t bytes) {
  bytes = std::max(bytes, kMinPeekBytes);
  if (peek_buffer_.size() < bytes) peek_buffer_.resize(bytes);
  return {peek_buffer_.data(), bytes};
}

void Listener::discard(AcceptedSocket& accepted) {
  accepted.unlink();
  stats_.dec(stats::ListenerStat::downstream_pre_cx_active);
  environment_.loop.defer_delete(std::unique_ptr<Deferrable>(&accepted));
}

void Listener::on_rejected(AcceptedSocket& accepted) {
  accepted.take_socket();
  discard(accepted);
  check_drained();
}

void Listener::on_filters_done(AcceptedSocket& accepted) {
  Socket socket = accepted.take_socket();
  ConnectionFacts facts = std::move(accepted.facts());
  ConnectionSlot slot = std::move(accepted.slot());
  const bool handed_over = accepted.handed_over();
  discard(accepted);
  if (config_->use_original_dst && facts.local_restored && !handed_over) {
    Listener* meant = directory_.find_for(facts.local);
    if (meant != nullptr && meant != this) {
      meant->take_over(std::move(socket), std::move(facts), std::move(slot));
      check_drained();
      return;
    }
  }
  connect(std::move(socket), std::move(facts), std::move(slot));
  check_drained();
}

// --- filter chains ---

const FilterChainConfig* Listener::choose_chain(const ConnectionFacts& facts) const {
  if (const auto index = config_->matcher.find(facts)) return &config_->chains[*index];
  const auto& fallback = config_->default_chain;
  return fallback ? &*fallback : nullptr;
}

void Listener::connect(Socket socket, ConnectionFacts facts, ConnectionSlot slot) {
  // Whoever passed all inspectors without being recognised sends plain bytes.
  if (facts.transport_protocol.empty()) facts.transport_protocol = "raw_buffer";
  const FilterChainConfig* chain = choose_chain(facts);
  if (chain == nullptr) {
    refuse_without_chain(facts);
    return;
  }
  auto* connection = new DownstreamConnection(*this, config_, *chain, std::move(socket),
                                              std::move(facts), std::move(slot));
  connections_.push_back(*connection);
  ++connection_count_;
  stats_.inc(stats::ListenerStat::downstream_cx_total);
  stats_.inc(stats::ListenerStat::downstream_cx_active);
  if (chain->filters.empty()) {
    connection->close(CloseHow::NoFlush, "no_network_filters");
    return;
  }
  if (draining_) join_drain(*connection);
  connection->begin();
}

void Listener::refuse_without_chain(const ConnectionFacts& facts) {
  stats_.inc(stats::ListenerStat::no_filter_chain_match);
  LOG_DEBUG(conn_handler, "listener '{}': no filter chain for a connection from {} to {}",
            config_->name, facts.remote.to_string(), facts.local.to_string());
  if (environment_.log_connection == nullptr) return;
  ConnectionEnd end{*config_.get(), facts};
  end.no_filter_chain = true;
  environment_.log_connection(environment_.worker, end);
}

void Listener::on_connection_closed(DownstreamConnection& connection, const ConnectionEnd& end) {
  connection.unlink();
  --connection_count_;
  stats_.inc(stats::ListenerStat::downstream_cx_destroy);
  stats_.dec(stats::ListenerStat::downstream_cx_active);
  stats_.record(stats::ListenerHistogram::downstream_cx_length_ms, end.duration_us / 1000);
  if (environment_.log_connection != nullptr) {
    environment_.log_connection(environment_.worker, end);
  }
  environment_.loop.defer_delete(std::unique_ptr<Deferrable>(&connection));
  check_drained();
}

}  // namespace remora
