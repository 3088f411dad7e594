#include "proxy/upstream/connect_race.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/upstream/address_order.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster.h"

namespace remora::upstream {
namespace {

constexpr uint64_t kAttemptDelayMs = 300;

}  // namespace

std::unique_ptr<ConnectRace> begin_connecting(Cluster& cluster, Connection& connection,
                                              const Host& host, int error) {
  const uint64_t timeout_ms = cluster.config().connect_timeout_ms;
  if (!host.extras().more_addresses.empty()) {
    return std::make_unique<ConnectRace>(cluster, connection, host, error, timeout_ms);
  }
  connection.begin_connecting(error, timeout_ms);
  return nullptr;
}

// One socket that connects. That of the first attempt belongs to the connection.
class ConnectRace::Attempt {
 public:
  Attempt(ConnectRace& race, const Address& address, Socket socket, int fd, int error)
      : race_(race),
        address_(address),
        socket_(std::move(socket)),
        error_(error),
        event_(race.connection_.loop(), fd, FdEvent::Trigger::Edge,
               FdEvent::kRead | FdEvent::kWrite | FdEvent::kHangup,
               FdEvent::bind<&Attempt::on_ready, Attempt>(), this),
        fd_(fd) {
    if (error != 0 && error != EINPROGRESS) event_.activate(FdEvent::kWrite);
  }

  const Address& address() const { return address_; }
  bool own_socket() const { return static_cast<bool>(socket_); }
  int fd() const { return fd_; }

 private:
  void on_ready(uint8_t) {
    const int known = error_ == EINPROGRESS ? 0 : error_;
    race_.finished(*this, known != 0 ? known : pending_socket_error(fd_));
  }

  ConnectRace& race_;
  const Address& address_;
  Socket socket_;
  const int error_;
  FdEvent event_;
  const int fd_;
};

ConnectRace::ConnectRace(Cluster& cluster, Connection& connection, const Host& host, int error,
                         uint64_t timeout_ms)
    : cluster_(cluster),
      connection_(connection),
      host_(host),
      addresses_(addresses_in_order(host.endpoint(), balancing_of(cluster.config()).address_order)),
      deadline_(timeout_ms == 0 ? 0 : connection.loop().now_ms() + timeout_ms),
      next_timer_(connection.loop().timers(), Timer::bind<&ConnectRace::on_next, ConnectRace>(),
                  this),
      timeout_(connection.loop().timers(), Timer::bind<&ConnectRace::on_timeout, ConnectRace>(),
               this) {
  attempts_.push_back(
      std::make_unique<Attempt>(*this, addresses_[next_++], Socket(), connection.fd(), error));
  next_timer_.arm(kAttemptDelayMs);
  if (timeout_ms > 0) timeout_.arm(timeout_ms);
}

ConnectRace::~ConnectRace() = default;

void ConnectRace::on_next() { try_next(); }

void ConnectRace::try_next() {
  if (next_ == addresses_.size()) return;
  const Address& address = addresses_[next_++];
  cluster_.count_further_attempt(host_);
  int error = 0;
  Socket socket = cluster_.open_socket(address, &error);
  const int fd = socket.fd();
  if (fd >= 0) {
    attempts_.push_back(std::make_unique<Attempt>(*this, address, std::move(socket), fd, error));
  }
  if (next_ < addresses_.size()) next_timer_.arm(kAttemptDelayMs);
}

void ConnectRace::finished(Attempt& attempt, int error) {
  if (error == 0) return end(attempt, 0);
  next_timer_.disarm();
  try_next();
  if (attempts_.size() == 1) return end(attempt, error);
  std::erase_if(attempts_, [&](const auto& one) { return one.get() == &attempt; });
}

void ConnectRace::on_timeout() { end(*attempts_.front(), EINPROGRESS); }

/// The connection goes on with the socket of `with`.
void ConnectRace::end(const Attempt& with, int error) {
  if (std::exchange(over_, true)) return;
  next_timer_.disarm();
  timeout_.disarm();
  const MonotonicMs now = connection_.loop().now_ms();
  const uint64_t left = deadline_ == 0 ? 0 : std::max<uint64_t>(deadline_, now + 1) - now;
  connection_.set_addresses({}, with.address());
  const int winner = with.own_socket() ? ::fcntl(with.fd(), F_DUPFD_CLOEXEC, 0) : -1;
  attempts_.clear();
  // The winner takes the number of the connection's socket, which its transport knows.
  if (winner >= 0) {
    const bool taken = ::dup3(winner, connection_.fd(), O_CLOEXEC) >= 0;
    ::close(winner);
    if (!taken) error = EMFILE;
  }
  connection_.begin_connecting(error == 0 ? EINPROGRESS : error, left);
}

}  // namespace remora::upstream
