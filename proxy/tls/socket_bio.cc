// See the header. Errors other than "try again" are kept in SocketIo::error, as errno does not
// outlive OpenSSL's calls.
#include "proxy/tls/socket_bio.h"

#include <sys/socket.h>

#include <cerrno>

namespace remora::tls {
namespace {

/// Replies to a peer that asks for new keys again and again and reads nothing.
constexpr size_t kMaxHeldBytes = size_t{64} * 1024;

SocketIo& io_of(BIO* bio) { return *static_cast<SocketIo*>(BIO_get_data(bio)); }

int read_socket(BIO* bio, char* out, int room) {
  SocketIo& io = io_of(bio);
  BIO_clear_retry_flags(bio);
  if (io.ended) return 0;
  if (io.drained) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const ssize_t got = ::recv(io.fd, out, static_cast<size_t>(room), 0);
  if (got > 0) {
    // Edge-triggered: what comes after a short read is a new edge.
    io.drained = got < room && !io.hung_up;
    return static_cast<int>(got);
  }
  if (got == 0) {
    io.ended = true;
    return 0;
  }
  if (errno == EAGAIN || errno == EINTR) {
    io.drained = errno == EAGAIN;
    BIO_set_retry_read(bio);
    return -1;
  }
  io.error = errno;
  return -1;
}

/// Bytes sent; -1 with `io.error` 0 when the socket is full.
ssize_t send_some(SocketIo& io, const char* bytes, size_t size) {
  if (io.full) return -1;
  const ssize_t sent = ::send(io.fd, bytes, size, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) {
      io.full = true;
    } else {
      io.error = errno;
    }
    return -1;
  }
  io.full = static_cast<size_t>(sent) < size;
  return sent;
}

int write_socket(BIO* bio, const char* bytes, int size) {
  SocketIo& io = io_of(bio);
  BIO_clear_retry_flags(bio);
  ssize_t sent = -1;
  if (io.send_held()) sent = send_some(io, bytes, static_cast<size_t>(size));
  if (io.error != 0) return -1;
  if (io.hold_writes && sent < size) {
    const size_t taken = sent > 0 ? static_cast<size_t>(sent) : 0;
    if (io.held.size() + static_cast<size_t>(size) > kMaxHeldBytes) {
      io.error = ENOBUFS;
      return -1;
    }
    io.held.append(bytes + taken, static_cast<size_t>(size) - taken);
    return size;
  }
  if (sent < 0) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

long control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
      return 1;
    case BIO_CTRL_EOF:
      return io_of(bio).ended ? 1 : 0;
    default:
      return 0;
  }
}

}  // namespace

bool SocketIo::send_held() {
  if (held.empty()) return true;
  const ssize_t sent = send_some(*this, held.data(), held.size());
  if (sent > 0) held.erase(0, static_cast<size_t>(sent));
  return held.empty();
}

BioMethodHandle make_socket_method() {
  BioMethodHandle method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket"));
  BIO_meth_set_read(method.get(), read_socket);
  BIO_meth_set_write(method.get(), write_socket);
  BIO_meth_set_ctrl(method.get(), control);
  return method;
}

BIO* new_socket_bio(const BIO_METHOD& method, SocketIo& io) {
  BIO* bio = BIO_new(&method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &io);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace remora::tls
