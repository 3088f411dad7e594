// One worker's half of a listener: its sockets, its accept loop, the choice of a filter chain, its
// connections and how they drain. Owned by the worker's ListenerSet; that worker's thread only.
// Document: envoy.config.listener.v3.Listener.
#pragma once

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/snapshot.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/accepted_socket.h"
#include "proxy/net/filter_chain.h"
#include "proxy/net/listener_config.h"
#include "proxy/net/listener_environment.h"
#include "proxy/net/socket.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"

namespace remora {

class Listener;

/// The other listeners of the worker.
class ListenerDirectory {
 public:
  /// The listener for an original destination: of exactly that address, else of the any-address of
  /// its family and the same port; null when there is none that still accepts.
  virtual Listener* find_for(const Address& destination) = 0;
  /// A stopped listener has no connection left; it may be destroyed at the end of the turn.
  virtual void on_drained(Listener& listener) = 0;
  /// Somebody wants health checks to fail: as long as that is so, connections of listeners that
  /// drain with the server count as draining.
  virtual bool health_check_failed() const = 0;

 protected:
  ~ListenerDirectory() = default;
};

class Listener final : public Deferrable {
 public:
  using Stats = stats::Slab<stats::ListenerSchema>;

  /// `sockets`: bound and listening, none when the listener only gets connections handed over.
  Listener(ListenerEnvironment& environment, ListenerDirectory& directory,
           const std::shared_ptr<const ListenerConfig>& config, std::vector<Socket> sockets);
  /// Closes what is left without a word to the filters' peers.
  ~Listener() override;

  const ListenerConfig& config() const { return *config_.get(); }
  ListenerEnvironment& environment() const { return environment_; }
  Stats& stats() { return stats_; }
  size_t connection_count() const { return connection_count_; }
  bool accepting() const { return !stopped_; }
  bool health_check_failed() const { return directory_.health_check_failed(); }

  /// A new configuration on the same sockets. Connections of filter chains that are still there
  /// with the same content are left alone, the others drain.
  void update(std::shared_ptr<const ListenerConfig> config);

  /// Closes the listening sockets. With `drain` the connections drain, too, and are closed after
  /// the drain time.
  void stop_accepting();
  void remove();
  /// Tells all connections, those to come included, to finish politely; none is closed.
  void drain_politely();
  /// Overload: leaves clients in the kernel's queue, and takes them again.
  void pause_accepting();
  void resume_accepting();

  /// Ends connections that `condition` holds for: tells them to finish, or closes them.
  enum class Ending : uint8_t { Politely, AtOnce };
  using TransportCondition = absl::FunctionRef<bool(const Transport&)>;
  void end_connections(TransportCondition condition, Ending how);

  /// Drops all connections at once, for the end of the worker.
  void close_all();

  /// A connection that another listener accepted and that was going to this one's address.
  void take_over(Socket socket, ConnectionFacts facts, ConnectionSlot slot);

  // --- for AcceptedSocket and DownstreamConnection ---
  void on_filters_done(AcceptedSocket& accepted);
  void on_rejected(AcceptedSocket& accepted);
  void on_connection_closed(DownstreamConnection& connection, const ConnectionEnd& end);
  /// Room for one peek; good until the next.
  std::span<char> peek_buffer(size_t bytes);

 private:
  /// One listening socket and its readiness.
  struct Door {
    Door(Listener& listener, Socket socket);
    void on_ready(uint8_t) { listener.accept_from(*this); }
    Listener& listener;
    Socket socket;
    const Address address;
    FdEvent event;
  };

  void accept_from(Door& door);
  void admit(Socket socket, const Address& peer, const Door& door);
  Address local_of(const Socket& socket, const Door& door) const;
  void on_accept_failure(int error);
  void start_filters(Socket socket, ConnectionFacts facts, ConnectionSlot slot, bool handed_over);
  void discard(AcceptedSocket& accepted);
  void connect(Socket socket, ConnectionFacts facts, ConnectionSlot slot);
  const FilterChainConfig* choose_chain(const ConnectionFacts& facts) const;
  void refuse_without_chain(const ConnectionFacts& facts);
  bool still_has(const FilterChainConfig& chain) const;
  template <class Condition>
  void plan_drain(MonotonicMs close_after_ms, Condition applies);
  void run_drain();
  void join_drain(DownstreamConnection& connection);
  void check_drained();

  ListenerEnvironment& environment_;
  ListenerDirectory& directory_;
  Snapshot<ListenerConfig> config_;
  std::shared_ptr<stats::Group<stats::ListenerSchema>> stats_group_;
  Stats& stats_;
  std::vector<std::unique_ptr<Door>> doors_;
  IntrusiveList<AcceptedSocket> accepted_;
  IntrusiveList<DownstreamConnection> connections_;
  size_t connection_count_ = 0;
  std::vector<char> peek_buffer_;
  Timer accept_timer_;  // goes on accepting after descriptors ran out
  Timer drain_timer_;
  bool stopped_ = false;
  bool paused_ = false;
  bool draining_ = false;  // connections to come are told to finish
  MonotonicMs draining_since_ = 0;
  uint64_t joined_drain_ = 0;
  MonotonicMs close_at_ = DownstreamConnection::DrainPlan::kNever;  // once removed
};

}  // namespace remora
