// The admin interface's socket: accepts on the main thread's loop and speaks HTTP/1.1 with the
// proxy's own codec. Answers are built whole. Owned by the Server; main thread only.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <string>

#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"
#include "proxy/http/stream_info.h"
#include "proxy/net/listener_environment.h"
#include "proxy/net/socket.h"
#include "proxy/server/admin/admin.h"

namespace remora::server {

struct AdminListenerOptions {
  /// Hears of every answer, for access logs.
  std::function<void(const http::StreamInfo&)> on_answered = [](const http::StreamInfo&) {};
  /// Nobody is let in while as many connections as may be are open; null: that does not matter.
  const ConnectionLimit* connection_limit = nullptr;
};

class AdminListener {
 public:
  static absl::StatusOr<std::unique_ptr<AdminListener>> open(EventLoop& loop,
                                                             const Address& address,
                                                             const Admin& admin,
                                                             AdminListenerOptions options);
  ~AdminListener();

  const Address& address() const { return address_; }

 private:
  class Session;

  AdminListener(EventLoop& loop, Socket socket, const Admin& admin, AdminListenerOptions options);
  void on_ready(uint8_t ready);
  bool has_room() const;
  void forget(Session* session);

  EventLoop& loop_;
  Socket socket_;
  Address address_;
  const Admin& admin_;
  const AdminListenerOptions options_;
  absl::flat_hash_map<Session*, std::unique_ptr<Session>> sessions_;
  FdEvent event_;
};

}  // namespace remora::server
