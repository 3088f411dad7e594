// Asynchronous name resolution by c-ares on an event loop: addresses of a name with their time to
// live. Owned by the server (or a test); main thread only. The only file that includes c-ares is
// dns_resolver.cc.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/upstream/cluster_config.h"

struct ares_channeldata;

namespace remora::upstream {

struct DnsRecord {
  Address address;  // port 0
  uint32_t ttl_s = 0;
};

/// "No such name" and "no addresses" are Ok with no records; Failed is a server that cannot be
/// reached, does not answer, or answers nonsense.
struct DnsAnswer {
  bool ok = false;
  std::vector<DnsRecord> records;
  std::string failure;  // c-ares' text, also for why there are no records
};

/// A question in flight; destroying it cancels (the callback is not called).
class DnsQuery {
 public:
  virtual ~DnsQuery() = default;
};

class DnsResolver {
 public:
  struct Options {
    std::vector<Address> servers;  // empty: the system's
    uint64_t timeout_ms = 5000;    // of one try with one server
    uint32_t tries = 4;
  };
  using Callback = std::function<void(const DnsAnswer&)>;

  static absl::StatusOr<std::unique_ptr<DnsResolver>> create(EventLoop& loop, Options options);
  ~DnsResolver();
  DnsResolver(const DnsResolver&) = delete;
  DnsResolver& operator=(const DnsResolver&) = delete;

  /// Asks for the addresses of `name`. `callback` is called once, from the loop, never inside this
  /// call. The families follow Envoy: Auto tries v6 and then v4, V4Preferred the other way round,
  /// All asks for both.
  std::unique_ptr<DnsQuery> resolve(std::string_view name, DnsFamily family, Callback callback);

  size_t queries_in_flight() const { return in_flight_; }

 private:
  class Query;
  class Watch;  // one socket of c-ares in the loop

  DnsResolver(EventLoop& loop, Options options);
  absl::Status open_channel();
  void close_channel();
  void on_socket_state(int fd, bool readable, bool writable);
  void on_timer();
  void process(int read_fd, int write_fd);
  void arm_timer();

  EventLoop& loop_;
  Options options_;
  ares_channeldata* channel_ = nullptr;
  bool reopen_ = false;  // no server listened: the system's configuration may have changed
  size_t in_flight_ = 0;
  std::vector<std::unique_ptr<Watch>> watches_;
  Timer timer_;
};

}  // namespace remora::upstream
