// The admin interface's socket: accepts on the main thread's loop and speaks HTTP/1.1 with the proxy's own codec. Answers
// are built whole. Owned by the Server; main thread only.
#pragma once

#include <memory>
#include <string>

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/socket.h"
#include "proxy/server/admin/admin.h"

namespace remora::server {

class AdminListener {
 public:
  static absl::StatusOr<std::unique_ptr<AdminListener>> open(EventLoop& loop, const Address& address, const Admin& admin);
  ~AdminListener();

  const Address& address() const { return address_; }

 private:
  class Session;

  AdminListener(EventLoop& loop, Socket socket, const Admin& admin);
  void on_ready(uint8_t ready);
  void forget(Session* session);

  EventLoop& loop_;
  Socket socket_;
  Address address_;
  const Admin& admin_;
  absl::flat_hash_map<Session*, std::unique_ptr<Session>> sessions_;
  FdEvent event_;
};

}  // namespace remora::server
