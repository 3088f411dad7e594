// Running listener filters; see the header. Its worker's thread only.
#include "proxy/net/accepted_socket.h"

#include <sys/socket.h>

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

Socket AcceptedSocket::take_socket() {
  event_.reset();  // before somebody else registers the descriptor
  return std::move(socket_);
}

void AcceptedSocket::run() {
  const auto& filters = config_->listener_filters;
  for (; next_filter_ < filters.size(); ++next_filter_) {
    switch (run_filter(*filters[next_filter_])) {
      case Outcome::NextFilter:
        filter_.reset();
        break;
      case Outcome::Wait:
        wait();
        return;
      case Outcome::Reject:
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
  if (filter_ != nullptr) return peek();
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
  return peek();
}

AcceptedSocket::Outcome AcceptedSocket::peek() {
  const std::span<char> room = listener_.peek_buffer(filter_->max_peek_bytes());
  const ssize_t got = ::recv(fd(), room.data(), room.size(), MSG_PEEK);
  if (got == 0) return Outcome::PeerClosed;
  if (got < 0) return errno == EAGAIN ? Outcome::Wait : Outcome::PeerClosed;
  switch (filter_->on_peek(*this, {room.data(), static_cast<size_t>(got)})) {
    case ListenerFilter::Status::Done:
      return Outcome::NextFilter;
    case ListenerFilter::Status::Reject:
      return Outcome::Reject;
    case ListenerFilter::Status::NeedData:
      break;
  }
  if (!peer_hung_up_) return Outcome::Wait;
  // No more bytes will come. Who may go on without the filters' answer need not wait for the
  // timeout.
  return config_->continue_on_listener_filters_timeout ? Outcome::NextFilter : Outcome::PeerClosed;
}

void AcceptedSocket::wait() {
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
