// The socket as OpenSSL reads and writes it: no SIGPIPE, no system call whose answer is known, and
// a write that OpenSSL makes in the middle of reading never blocks the reading. Owned by the
// transport; its thread.
#pragma once

#include <cstddef>
#include <string>

#include "proxy/tls/openssl_handles.h"

namespace remora::tls {

struct SocketIo {
  int fd = -1;
  int error = 0;         // errno of the call that failed
  bool ended = false;    // the peer's FIN was read
  bool drained = false;  // nothing more to read before the next edge
  bool full = false;     // nothing more to write before the next edge
  bool hung_up =
      false;  // a FIN waits behind the bytes: a short read is no sign of a drained socket
  bool hold_writes = false;  // what does not fit is held back instead of refused
  std::string held;          // records to send before anything else

  /// Before a read or write of the transport, at an edge or while more is known to come.
  void begin(bool peer_hung_up, bool reading) {
    error = 0;
    drained = false;
    full = false;
    hung_up = peer_hung_up;
    hold_writes = reading;
  }
  /// Whether nothing is held back any more.
  bool send_held();
};

BioMethodHandle make_socket_method();
/// `io` outlives the BIO.
BIO* new_socket_bio(const BIO_METHOD& method, SocketIo& io);

}  // namespace remora::tls
