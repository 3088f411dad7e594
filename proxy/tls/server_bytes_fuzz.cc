// Raw bytes to a server's port: whatever comes, the transport answers or fails, and never gets
// ready.
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "proxy/stats/store.h"
#include "proxy/tls/test_certificates.h"
#include "proxy/tls/transport_factory.h"

namespace {

using namespace remora;       // NOLINT: a fuzz target is a file of its own
using namespace remora::tls;  // NOLINT

struct Server {
  Server() {
    const test::Issued root = test::Issued::root();
    const test::Issued leaf = root.issue({.sans = "DNS:a.test"});
    const test::Issued other = root.issue({.sans = "DNS:*.b.test", .rsa = true});
    Validation rules;
    rules.ca_pem = root.pem();
    ServerSettings settings;
    settings.require_client_certificate = true;
    settings.alpn = {"h2", "http/1.1"};
    TicketKeys keys;
    keys.keys.emplace_back(std::string(80, 'k'));
    slots->set(0, *make_server_context(settings, {leaf.secret(), other.secret()}, &rules, keys));
    factory = server_factory(settings, slots, store->group<stats::TlsSchema>("x"));
  }
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  std::shared_ptr<ContextSlots> slots = std::make_shared<ContextSlots>(1);
  std::shared_ptr<const Factory> factory;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Server server;
  static BlockPool pool;
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) return 0;
  const Socket near(fds[0]);
  const Socket far(fds[1]);
  const std::unique_ptr<Transport> transport = server.factory->make(near.fd(), {});
  const size_t half = size / 2;
  Buffer nothing(pool);
  if (::send(far.fd(), data, half, MSG_NOSIGNAL) >= 0) transport->write(nothing, false);
  if (::send(far.fd(), data + half, size - half, MSG_NOSIGNAL) >= 0)
    transport->write(nothing, false);
  shutdown(far.fd(), SHUT_WR);
  for (int i = 0; i < 3; ++i) transport->read(nothing, 65536, true);
  if (transport->ready() || !nothing.empty()) abort();
  return 0;
}
