// Ownership of a file descriptor and the few socket calls the proxy makes, each a plain function
// that answers errno as a value. Any thread; a Socket belongs to one. CONTRACT.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/net/address.h"

namespace remora {

/// One setsockopt to apply (xDS core.v3.SocketOption; int or bytes value).
struct SocketOption {
  int level = 0;
  int name = 0;
  std::string value;  // the bytes handed to setsockopt
  enum class State : uint8_t { PreBind, Bound, Listening } state = State::PreBind;
};

struct TcpKeepalive {
  bool enabled = false;
  std::optional<uint32_t> probes;
  std::optional<uint32_t> time_s;
  std::optional<uint32_t> interval_s;
};

class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// What a listening socket needs to know.
struct ListenOptions {
  bool reuse_port = true;
  bool transparent = false;  // IP_TRANSPARENT, for TPROXY
  bool freebind = false;
  bool v6_only = true;  // unless the address says ipv4_compat
  uint32_t backlog = 4096;
  std::optional<uint32_t> unix_mode;  // permission bits of a Unix socket's file
  std::vector<SocketOption> options;
};

/// The two halves of listen_on(): a socket that is bound refuses clients until it listens, which a
/// listener does only once its configuration is complete.
absl::StatusOr<Socket> bind_listener(const Address& address, const ListenOptions& options);
absl::Status start_listening(const Socket& socket, const ListenOptions& options);

/// Binds and listens, non-blocking and close-on-exec. A stale Unix socket file is replaced.
absl::StatusOr<Socket> listen_on(const Address& address, const ListenOptions& options);

/// One accept4; -1 with errno set when nothing (EAGAIN) or failure (EMFILE, ...).
Socket accept_one(int listening_fd, Address* peer);

struct ConnectOptions {
  Address bind_to;  // none: kernel's choice
  TcpKeepalive keepalive;
  std::vector<SocketOption> options;
};

/// Starts a non-blocking connect. `*error` is 0 (connected), EINPROGRESS, or why it failed at once.
Socket connect_to(const Address& peer, const ConnectOptions& options, int* error);

int pending_socket_error(int fd);  // SO_ERROR
Address local_address_of(int fd);
Address peer_address_of(int fd);
/// SO_ORIGINAL_DST / IP6T_SO_ORIGINAL_DST; none when the connection was not redirected.
Address original_destination_of(int fd);
/// The same, for a caller that knows the socket's local address.
Address original_destination_of(int fd, const Address& local);
bool is_transparent(
    int fd);  // IP_TRANSPARENT set on it: the local address is the original destination
void set_no_delay(int fd);
void set_keepalive(int fd, const TcpKeepalive& keepalive);
void set_abortive_close(int fd);  // SO_LINGER 0: close() sends RST

}  // namespace remora
