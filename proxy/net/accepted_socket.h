// A socket between its accept and the choice of its filter chain: the listener filters look at it,
// peeking at the first bytes without taking them. Owned by its Listener; its worker's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/snapshot.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/connection_facts.h"
#include "proxy/net/filter.h"
#include "proxy/net/listener_config.h"
#include "proxy/net/listener_environment.h"
#include "proxy/net/socket.h"

namespace remora {

class Listener;

class AcceptedSocket final : public Deferrable, public ListLink, private ListenerFilterContext {
 public:
  AcceptedSocket(Listener& listener, Snapshot<ListenerConfig> config, Socket socket,
                 ConnectionFacts facts, ConnectionSlot slot, bool handed_over);
  ~AcceptedSocket() override;

  /// Runs the filters as far as the bytes go; may end in Listener::on_filters_done() or
  /// on_rejected().
  void run();

  /// What becomes of it: taken by the listener when the filters are done.
  Socket take_socket();
  ConnectionFacts& facts() override { return facts_; }
  ConnectionSlot& slot() { return slot_; }
  /// It came from another listener: it is not handed over a second time.
  bool handed_over() const { return handed_over_; }

 private:
  enum class Outcome : uint8_t { NextFilter, Wait, Reject, PeerClosed, Broken };

  int fd() override { return socket_.fd(); }
  EventLoop& loop() override;
  uint32_t worker_index() const override;
  bool consume(size_t bytes) override;

  Outcome run_filter(const ListenerFilterFactory& factory);
  Outcome show();
  Outcome peek();
  void wait();
  void wake_at(size_t bytes);
  void on_ready(uint8_t ready);
  void on_timeout();
  void finish();

  Listener& listener_;
  const Snapshot<ListenerConfig> config_;
  Socket socket_;
  ConnectionFacts facts_;
  ConnectionSlot slot_;
  const bool handed_over_;
  bool peer_hung_up_ = false;
  bool peeked_all_ = false;  // nothing more was waiting behind peeked_
  size_t next_filter_ = 0;
  size_t wake_at_ = 1;      // SO_RCVLOWAT
  std::span<char> peeked_;  // what waits in the socket; valid while run() is on the stack
  std::unique_ptr<ListenerFilter> filter_;  // the one that waits for bytes
  std::unique_ptr<FdEvent> event_;          // made when a filter has to wait
  Timer timer_;
};

}  // namespace remora
