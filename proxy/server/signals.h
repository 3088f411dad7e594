// Signals as events of the main loop (signalfd). Owned by the Server; main thread only.
#pragma once

#include <functional>

#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/socket.h"

namespace remora::server {

/// Blocks the signals that Signals reads, and SIGPIPE, in the calling thread and those it starts.
/// First thing in main().
void block_signals();

class Signals {
 public:
  /// `on_signal` gets SIGTERM, SIGINT, SIGUSR1 or SIGHUP.
  Signals(EventLoop& loop, std::function<void(int)> on_signal);

 private:
  void on_ready(uint8_t ready);

  std::function<void(int)> on_signal_;
  Socket fd_;
  FdEvent event_;
};

}  // namespace remora::server
