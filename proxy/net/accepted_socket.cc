// Running listener filters; see the header. Its worker's thread only.
#include "proxy/net/accepted_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "proxy/net/listener.h"

namespace remora {

AcceptedSocket::AcceptedSocket(Listener& listener, Snapshot<ListenerConfig> config, Socket socket,
                               ConnectionFacts facts, ConnectionSlot slot, bool handed_over)
    : listener_(listener),
      config_(std::move(config)),
      socket_(std::move(socket)),
      facts_(std::move(facts)),
      slot_(std::move(slot)),
      handed_over_(handed_over),
      timer_(listener.environment().loop.timers(),
             Timer::bind<&AcceptedSocket::on_timeout, AcceptedSocket>(), this) {}

AcceptedSocket::~AcceptedSocket() = default;

EventLoop& AcceptedSocket::loop() { return listener_.environment().loop; }

uint32_t AcceptedSocket::worker_index() const { return listener_.environment().worker_index; }

Socket AcceptedSocket::take_socket() {
  event_.reset();  // before somebody else registers the descriptor
  wake_at(1);
  return std::move(socket_);
}

void AcceptedSocket::run() {
  const auto& filters = config_->listener_filters;
  peeked_ = {};
  for (; next_filter_ < filters.size(); ++next_filter_) {
    switch (run_filter(*filters[next_filter_])) {
      case Outcome::NextFilter:
        filter_.reset();
        break;
      case Outcome::Wait:
        wait();
        return;
      case Outcome::Reject:  // counted by the filter
        listener_.on_rejected(*this);
        return;
      case Outcome::Broken:
        listener_.stats().inc(stats::ListenerStat::downstream_listener_filter_error);
        listener_.on_rejected(*this);
        return;
      case Outcome::PeerClosed:
        listener_.stats().inc(stats::ListenerStat::downstream_listener_filter_remote_close);
        listener_.on_rejected(*this);
        return;
    }
  }
  finish();
}

void AcceptedSocket::finish() {
  timer_.disarm();
  listener_.on_filters_done(*this);
}

AcceptedSocket::Outcome AcceptedSocket::run_filter(const ListenerFilterFactory& factory) {
  if (filter_ != nullptr) return show();
  if (factory.disabled_for(facts_)) return Outcome::NextFilter;
  filter_ = factory.make();
  switch (filter_->on_accept(*this)) {
    case ListenerFilter::Status::Done:
      return Outcome::NextFilter;
    case ListenerFilter::Status::Reject:
      return Outcome::Reject;
    case ListenerFilter::Status::NeedData:
      break;
  }
  return show();
}

// --- bytes ---

/// What the filter before has been shown in this turn is shown to the next one too, without asking
/// the kernel again, unless there may be more that it wants to see.
AcceptedSocket::Outcome AcceptedSocket::show() {
  for (;;) {
    const size_t most = std::max<size_t>(filter_->max_peek_bytes(), 1);
    if (peeked_.empty() || (!peeked_all_ && peeked_.size() < most)) {
      if (const Outcome outcome = peek(); outcome != Outcome::NextFilter) return outcome;
    }
    const size_t shown = std::min(most, peeked_.size());
    switch (filter_->on_peek(*this, {peeked_.data(), shown})) {
      case ListenerFilter::Status::Done:
        return Outcome::NextFilter;
      case ListenerFilter::Status::Reject:
        return Outcome::Reject;
      case ListenerFilter::Status::NeedData:
        break;
    }
    // It may look further now, and there was more than it had been shown.
    const bool saw_all = peeked_all_ && shown == peeked_.size();
    if (saw_all || filter_->max_peek_bytes() <= shown) break;
  }
  if (!peer_hung_up_) return Outcome::Wait;
  // No more bytes will come. Who may go on without the filters' answer need not wait for the
  // timeout.
  return config_->continue_on_listener_filters_timeout ? Outcome::NextFilter : Outcome::PeerClosed;
}

AcceptedSocket::Outcome AcceptedSocket::peek() {
  const std::span<char> room = listener_.peek_buffer(filter_->max_peek_bytes());
  const ssize_t got = ::recv(fd(), room.data(), room.size(), MSG_PEEK);
  if (got == 0) return Outcome::PeerClosed;
  if (got < 0) return errno == EAGAIN ? Outcome::Wait : Outcome::Broken;
  peeked_ = room.first(static_cast<size_t>(got));
  peeked_all_ = peeked_.size() < room.size();
  return Outcome::NextFilter;
}

bool AcceptedSocket::consume(size_t bytes) {
  if (bytes > peeked_.size()) return false;
  while (bytes > 0) {
    // The very bytes that were peeked: they end up where they are already.
    const ssize_t got = ::recv(fd(), peeked_.data(), bytes, 0);
    if (got <= 0) return false;
    peeked_ = peeked_.subspan(static_cast<size_t>(got));
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

/// The kernel says nothing of fewer bytes than this, except that the peer ended or that time is up.
void AcceptedSocket::wake_at(size_t bytes) {
  if (bytes == wake_at_) return;
  wake_at_ = bytes;
  const int low_water = static_cast<int>(bytes);
  ::setsockopt(fd(), SOL_SOCKET, SO_RCVLOWAT, &low_water, sizeof(low_water));
}

// --- waiting ---

void AcceptedSocket::wait() {
  // Before the event when there is none yet: what has come meanwhile is told then.
  wake_at(std::max<size_t>(filter_->wanted_bytes(), 1));
  if (event_ == nullptr) {
    event_ = std::make_unique<FdEvent>(
        loop(), fd(), FdEvent::Trigger::Edge, FdEvent::kRead | FdEvent::kHangup,
        FdEvent::bind<&AcceptedSocket::on_ready, AcceptedSocket>(), this);
    if (config_->listener_filters_timeout_ms > 0) timer_.arm(config_->listener_filters_timeout_ms);
  }
}

void AcceptedSocket::on_ready(uint8_t ready) {
  if (ready & FdEvent::kHangup) peer_hung_up_ = true;
  run();
}

void AcceptedSocket::on_timeout() {
  listener_.stats().inc(stats::ListenerStat::downstream_pre_cx_timeout);
  if (config_->continue_on_listener_filters_timeout) {
    finish();
  } else {
    listener_.on_rejected(*this);
  }
}

}  // namespace remora
