// c-ares over the event loop: its sockets as level-triggered events, its time-outs as one timer.
#include "proxy/upstream/dns/dns_resolver.h"

#include <absl/status/status.h>
#include <ares.h>
#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "proxy/event/fd_event.h"

namespace remora::upstream {
namespace {

struct Lookup {
  int family;
  int fallback;  // AF_UNSPEC: none
};

Lookup lookup_of(DnsFamily family) {
  switch (family) {
    case DnsFamily::V4Only:
      return {AF_INET, AF_UNSPEC};
    case DnsFamily::V6Only:
      return {AF_INET6, AF_UNSPEC};
    case DnsFamily::V4Preferred:
      return {AF_INET, AF_INET6};
    case DnsFamily::All:
      return {AF_UNSPEC, AF_UNSPEC};
    case DnsFamily::Auto:
      break;
  }
  return {AF_INET6, AF_INET};
}

bool means_no_records(int status) { return status == ARES_ENODATA || status == ARES_ENOTFOUND; }

std::vector<DnsRecord> records_of(const ares_addrinfo* info) {
  std::vector<DnsRecord> records;
  if (info == nullptr) return records;
  for (const ares_addrinfo_node* node = info->nodes; node != nullptr; node = node->ai_next) {
    if (node->ai_family != AF_INET && node->ai_family != AF_INET6) continue;
    Address address = Address::from_sockaddr(node->ai_addr, node->ai_addrlen);
    records.push_back({address.with_port(0), static_cast<uint32_t>(std::max(node->ai_ttl, 0))});
  }
  return records;
}

std::string server_list(const std::vector<Address>& servers) {
  std::string list;
  for (const Address& server : servers) {
    if (!list.empty()) list += ',';
    list += server.port() == 0 ? server.with_port(53).to_string() : server.to_string();
  }
  return list;
}

}  // namespace

// What c-ares holds while it looks a name up. Owned by c-ares until it has called back, then freed
// (or kept until the caller has heard); the caller's handle only points here.
class DnsResolver::Query {
 public:
  class Handle final : public DnsQuery {
   public:
    explicit Handle(Query& query) : query_(&query) {}
    ~Handle() override {
      if (query_ != nullptr) query_->abandon();
    }

   private:
    friend class Query;
    Query* query_;
  };

  Query(DnsResolver& resolver, std::string name, Lookup lookup, Callback callback)
      : resolver_(resolver),
        name_(std::move(name)),
        lookup_(lookup),
        callback_(std::move(callback)),
        deliver_(resolver.loop_.timers(), Timer::bind<&Query::deliver, Query>(), this) {
    ++resolver_.in_flight_;
  }

  std::unique_ptr<DnsQuery> start() {
    auto handle = std::make_unique<Handle>(*this);
    handle_ = handle.get();
    ask(lookup_.family);
    return handle;
  }

 private:
  ~Query() {
    --resolver_.in_flight_;
    if (handle_ != nullptr) handle_->query_ = nullptr;
  }

  void ask(int family) {
    if (resolver_.channel_ == nullptr) {
      answered(ARES_ENOTINITIALIZED, nullptr);
      return;
    }
    asked_ = true;
    ares_addrinfo_hints hints = {};
    hints.ai_family = family;
    hints.ai_flags = ARES_AI_NOSORT;
    hints.ai_socktype = SOCK_STREAM;  // one record per address, not one per protocol
    ares_getaddrinfo(resolver_.channel_, name_.c_str(), nullptr, &hints, &Query::on_answer, this);
    resolver_.arm_timer();
  }

  static void on_answer(void* self, int status, int /*timeouts*/, ares_addrinfo* info) {
    static_cast<Query*>(self)->answered(status, info);
  }

  void answered(int status, ares_addrinfo* info) {
    asked_ = false;
    if (status == ARES_SUCCESS) answer_.records = records_of(info);
    if (info != nullptr) ares_freeaddrinfo(info);
    if (status == ARES_EDESTRUCTION || handle_ == nullptr) {
      delete this;
      return;
    }
    if (status == ARES_ECONNREFUSED) resolver_.reopen_ = true;
    if (answer_.records.empty() && lookup_.fallback != AF_UNSPEC) {
      ask(std::exchange(lookup_.fallback, AF_UNSPEC));
      return;
    }
    answer_.ok = status == ARES_SUCCESS || means_no_records(status);
    if (status != ARES_SUCCESS) answer_.failure = ares_strerror(status);
    deliver_.arm(0);  // c-ares may answer inside the question: literal addresses, the hosts file
  }

  void deliver() {
    const Callback callback = std::move(callback_);
    const DnsAnswer answer = std::move(answer_);
    delete this;
    callback(answer);
  }

  void abandon() {
    handle_ = nullptr;
    if (!asked_) delete this;
  }

  DnsResolver& resolver_;
  const std::string name_;
  Lookup lookup_;
  Callback callback_;
  DnsAnswer answer_;
  bool asked_ = false;
  Handle* handle_ = nullptr;
  Timer deliver_;
};

class DnsResolver::Watch {
 public:
  Watch(DnsResolver& resolver, int fd, uint8_t interest)
      : fd_(fd),
        resolver_(resolver),
        event_(resolver.loop_, fd, FdEvent::Trigger::Level, interest,
               FdEvent::bind<&Watch::on_ready, Watch>(), this) {}

  int fd() const { return fd_; }

 private:
  void on_ready(uint8_t ready) {
    const int fd = fd_;
    // May destroy this.
    resolver_.process(ready & FdEvent::kRead ? fd : ARES_SOCKET_BAD,
                      ready & FdEvent::kWrite ? fd : ARES_SOCKET_BAD);
  }

  const int fd_;
  DnsResolver& resolver_;
  FdEvent event_;
};

DnsResolver::DnsResolver(EventLoop& loop, Options options)
    : loop_(loop),
      options_(std::move(options)),
      timer_(loop.timers(), Timer::bind<&DnsResolver::on_timer, DnsResolver>(), this) {
  ares_library_init(ARES_LIB_INIT_ALL);
}

DnsResolver::~DnsResolver() {
  close_channel();
  ares_library_cleanup();
}

absl::StatusOr<std::unique_ptr<DnsResolver>> DnsResolver::create(EventLoop& loop, Options options) {
  std::unique_ptr<DnsResolver> resolver(new DnsResolver(loop, std::move(options)));
  if (absl::Status status = resolver->open_channel(); !status.ok()) return status;
  return resolver;
}

absl::Status DnsResolver::open_channel() {
  ares_options options = {};
  options.timeout = static_cast<int>(options_.timeout_ms);
  options.tries = static_cast<int>(options_.tries);
  options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<DnsResolver*>(self)->on_socket_state(fd, readable != 0, writable != 0);
  };
  options.sock_state_cb_data = this;
  int status = ares_init_options(&channel_, &options,
                                 ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
  if (status == ARES_SUCCESS && !options_.servers.empty()) {
    status = ares_set_servers_ports_csv(channel_, server_list(options_.servers).c_str());
  }
  if (status == ARES_SUCCESS) return absl::OkStatus();
  return absl::InvalidArgumentError(std::string("cannot start the DNS resolver: ") +
                                    ares_strerror(status));
}

void DnsResolver::close_channel() {
  if (channel_ == nullptr) return;
  ares_destroy(std::exchange(channel_, nullptr));  // queries hear ARES_EDESTRUCTION
  watches_.clear();
  timer_.disarm();
}

std::unique_ptr<DnsQuery> DnsResolver::resolve(std::string_view name, DnsFamily family,
                                               Callback callback) {
  if (reopen_ && in_flight_ == 0) {
    reopen_ = false;
    close_channel();
    // A channel opened once with the same options opens again.
    if (!open_channel().ok()) reopen_ = true;
  }
  auto* query = new Query(*this, std::string(name), lookup_of(family), std::move(callback));
  return query->start();
}

void DnsResolver::on_socket_state(int fd, bool readable, bool writable) {
  std::erase_if(watches_, [fd](const auto& watch) { return watch->fd() == fd; });
  const uint8_t interest =
      static_cast<uint8_t>((readable ? FdEvent::kRead : 0) | (writable ? FdEvent::kWrite : 0));
  if (interest != 0) watches_.push_back(std::make_unique<Watch>(*this, fd, interest));
}

void DnsResolver::on_timer() { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }

void DnsResolver::process(int read_fd, int write_fd) {
  if (channel_ == nullptr) return;
  ares_process_fd(channel_, read_fd, write_fd);
  arm_timer();
}

void DnsResolver::arm_timer() {
  timeval wait;
  if (ares_timeout(channel_, nullptr, &wait) == nullptr) {
    timer_.disarm();
    return;
  }
  timer_.arm(static_cast<uint64_t>(wait.tv_sec) * 1000 + wait.tv_usec / 1000 + 1);
}

}  // namespace remora::upstream
