// Socket calls, errno as a value. Any thread.
#include "proxy/net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// After the C library's own definitions of the same structures.
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include <cerrno>
#include <cstring>

namespace remora {
namespace {

bool set_int(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

int get_int(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

int socket_domain(const Address& address) {
  switch (address.family()) {
    case Address::Family::V4:
      return AF_INET;
    case Address::Family::V6:
      return AF_INET6;
    default:
      return AF_UNIX;
  }
}

Socket open_stream(const Address& address) {
  return Socket(socket(socket_domain(address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/// The first option of `state` that the kernel refuses, or null.
const SocketOption* apply(int fd, const std::vector<SocketOption>& options,
                          SocketOption::State state) {
  for (const SocketOption& option : options) {
    if (option.state != state) continue;
    if (setsockopt(fd, option.level, option.name, option.value.data(),
                   static_cast<socklen_t>(option.value.size())) != 0) {
      return &option;
    }
  }
  return nullptr;
}

absl::Status failed(const char* what, const Address& address) {
  return absl::UnavailableError(std::string(what) + " '" + address.to_string() +
                                "': " + std::strerror(errno));
}

absl::Status apply_or_fail(int fd, const ListenOptions& options, SocketOption::State state,
                           const Address& address) {
  const SocketOption* refused = apply(fd, options.options, state);
  if (refused == nullptr) return absl::OkStatus();
  return failed(("cannot set socket option " + std::to_string(refused->level) + "/" +
                 std::to_string(refused->name) + " on")
                    .c_str(),
                address);
}

absl::Status set_ip_options(int fd, const Address& address, const ListenOptions& options) {
  const bool v6 = address.family() == Address::Family::V6;
  set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  // Accepted sockets inherit it, which saves a call for each.
  set_no_delay(fd);
  if (options.reuse_port && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
    return failed("cannot set SO_REUSEPORT on", address);
  }
  if (v6) set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.v6_only ? 1 : 0);
  if (options.transparent &&
      !set_int(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1)) {
    return failed("cannot set IP_TRANSPARENT on", address);
  }
  if (options.freebind &&
      !set_int(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, 1)) {
    return failed("cannot set IP_FREEBIND on", address);
  }
  return absl::OkStatus();
}

void remove_stale_socket_file(const Address& address) {
  const std::string path = address.to_string();
  struct stat info;
  if (path[0] != '@' && lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    unlink(path.c_str());
  }
}

absl::Status bind_to(int fd, const Address& address, const ListenOptions& options) {
  if (address.family() == Address::Family::Unix) remove_stale_socket_file(address);
  sockaddr_storage storage;
  const socklen_t length = address.to_sockaddr(&storage);
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) {
    return failed("cannot bind", address);
  }
  if (options.unix_mode && address.family() == Address::Family::Unix &&
      address.to_string()[0] != '@' &&
      chmod(address.to_string().c_str(), static_cast<mode_t>(*options.unix_mode)) != 0) {
    return failed("cannot set the mode of", address);
  }
  return absl::OkStatus();
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

Address name_of(int fd, NameCall call) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  if (call(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  return *this;
}

void Socket::close() {
  if (fd_ < 0) return;
  const int saved_errno = errno;
  ::close(std::exchange(fd_, -1));
  errno = saved_errno;
}

absl::StatusOr<Socket> bind_listener(const Address& address, const ListenOptions& options) {
  Socket socket = open_stream(address);
  if (!socket) return failed("cannot open a socket for", address);
  const int fd = socket.fd();
  using State = SocketOption::State;
  if (address.is_ip()) {
    if (auto status = set_ip_options(fd, address, options); !status.ok()) return status;
  }
  if (auto s = apply_or_fail(fd, options, State::PreBind, address); !s.ok()) return s;
  if (auto s = bind_to(fd, address, options); !s.ok()) return s;
  if (auto s = apply_or_fail(fd, options, State::Bound, address); !s.ok()) return s;
  return socket;
}

absl::Status start_listening(const Socket& socket, const ListenOptions& options) {
  const Address address = local_address_of(socket.fd());
  if (listen(socket.fd(), static_cast<int>(options.backlog)) != 0) {
    return failed("cannot listen on", address);
  }
  return apply_or_fail(socket.fd(), options, SocketOption::State::Listening, address);
}

absl::StatusOr<Socket> listen_on(const Address& address, const ListenOptions& options) {
  auto socket = bind_listener(address, options);
  if (!socket.ok()) return socket;
  if (auto s = start_listening(*socket, options); !s.ok()) return s;
  return socket;
}

Socket accept_one(int listening_fd, Address* peer) {
  sockaddr_storage storage;
  socklen_t length = sizeof(storage);
  auto* sa = reinterpret_cast<sockaddr*>(&storage);
  Socket socket(accept4(listening_fd, sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket && peer != nullptr) *peer = Address::from_sockaddr(sa, length);
  return socket;
}

Socket connect_to(const Address& peer, const ConnectOptions& options, int* error) {
  Socket socket = open_stream(peer);
  *error = socket ? 0 : errno;
  if (!socket) return socket;
  const int fd = socket.fd();
  const auto fail = [&] {
    *error = errno;
    return std::move(socket);
  };
  if (peer.is_ip()) {
    set_no_delay(fd);
    set_keepalive(fd, options.keepalive);
  }
  if (apply(fd, options.options, SocketOption::State::PreBind) != nullptr) return fail();
  sockaddr_storage storage;
  if (options.bind_to) {
    // The port is chosen at connect, when the whole tuple is known: more connections fit.
    if (options.bind_to.port() == 0) set_int(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const socklen_t length = options.bind_to.to_sockaddr(&storage);
    if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return fail();
  }
  if (apply(fd, options.options, SocketOption::State::Bound) != nullptr) return fail();
  const socklen_t length = peer.to_sockaddr(&storage);
  if (connect(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return fail();
  return socket;
}

int pending_socket_error(int fd) { return get_int(fd, SOL_SOCKET, SO_ERROR); }

Address local_address_of(int fd) { return name_of(fd, &getsockname); }

Address peer_address_of(int fd) { return name_of(fd, &getpeername); }

Address original_destination_of(int fd) {
  return original_destination_of(fd, local_address_of(fd).unmapped());
}

Address original_destination_of(int fd, const Address& local) {
  if (!local.is_ip()) return {};
  sockaddr_storage storage;
  std::memset(&storage, 0, sizeof(storage));
  const bool v4 = local.family() == Address::Family::V4;
  socklen_t length = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  const int found = v4 ? getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &storage, &length)
                       : getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, &storage, &length);
  if (found != 0) return {};
  const Address original = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length);
  // Connection tracking knows connections that nobody redirected, too.
  return original == local ? Address() : original;
}

bool is_transparent(int fd) {
  return get_int(fd, SOL_IP, IP_TRANSPARENT) != 0 || get_int(fd, SOL_IPV6, IPV6_TRANSPARENT) != 0;
}

void set_no_delay(int fd) { set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void set_keepalive(int fd, const TcpKeepalive& keepalive) {
  if (!keepalive.enabled) return;
  set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  const auto set = [fd](int name, std::optional<uint32_t> value) {
    if (value) set_int(fd, IPPROTO_TCP, name, static_cast<int>(*value));
  };
  set(TCP_KEEPCNT, keepalive.probes);
  set(TCP_KEEPIDLE, keepalive.time_s);
  set(TCP_KEEPINTVL, keepalive.interval_s);
}

void set_abortive_close(int fd) {
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

}  // namespace remora
