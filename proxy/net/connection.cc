// Life, writing and closing of a connection; reading is in connection_read.cc. Its worker's thread
// only.
#include "proxy/net/connection.h"

#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/net/connection_internal.h"

namespace remora {

// What every connection costs, before its transport, its filters and the kernel.
static_assert(sizeof(Connection) > 400 && sizeof(Connection) <= 512);

Connection::Connection(EventLoop& loop, Socket socket, std::unique_ptr<Transport> transport,
                       const ConnectionLimits& limits)
    : loop_(loop),
      socket_(std::move(socket)),
      transport_(std::move(transport)),
      limits_(limits),
      read_buffer_(loop.blocks()),
      write_buffer_(loop.blocks()),
      timer_(loop.timers(), Timer::bind<&Connection::on_timer, Connection>(), this),
      opened_at_(loop.now_ms()) {}

Connection::~Connection() = default;

// --- beginning ---

void Connection::watch_socket() {
  constexpr uint8_t kAll = FdEvent::kRead | FdEvent::kWrite | FdEvent::kHangup;
  event_ = std::make_unique<FdEvent>(loop_, socket_.fd(), FdEvent::Trigger::Edge, kAll,
                                     FdEvent::bind<&Connection::on_ready, Connection>(), this);
}

void Connection::begin(Buffer* already_read) {
  assert(state_ == State::Idle && handler_ != nullptr);
  watch_socket();
  if (already_read != nullptr && !already_read->empty()) {
    read_buffer_.append(std::move(*already_read));
    event_->activate(kDeliverBuffered);
  }
  start_transport();
}

void Connection::begin_connecting(int connect_error, uint64_t timeout_ms) {
  assert(state_ == State::Idle && handler_ != nullptr);
  state_ = State::Connecting;
  watch_socket();
  if (timeout_ms > 0) timer_.arm(timeout_ms);
  if (connect_error == EINPROGRESS) return;
  connect_error_ = connect_error;
  event_->activate(FdEvent::kWrite);
}

void Connection::on_connect_result(uint8_t ready) {
  const int error = connect_error_ != 0 ? connect_error_ : pending_socket_error(fd());
  if (error != 0) {
    failure_ = std::strerror(error);
    finish(CloseCause::ConnectFailed);
    return;
  }
  start_transport();
  if (state_ == State::Handshaking) {
    pump_handshake();  // the client speaks first
  } else if (state_ == State::Open && (ready & (FdEvent::kRead | FdEvent::kHangup))) {
    on_readable(false);  // the server spoke first
  }
}

void Connection::start_transport() {
  state_ = State::Handshaking;
  if (transport_->start()) become_open();
}

void Connection::pump_handshake() {
  Buffer nothing(loop_.blocks());
  const IoResult result = transport_->write(nothing, false);
  if (result.next == IoResult::Next::Error) {
    fail(errno);
  } else if (transport_->ready()) {
    become_open();
    // The edge that brought the end of the handshake may have brought more.
    if (state_ == State::Open) on_readable(false);
  }
}

void Connection::become_open() {
  state_ = State::Open;
  timer_.disarm();
  handler_->on_connected();
  if (state_ == State::Open && (!write_buffer_.empty() || end_after_write_)) {
    loop_.at_end_of_turn(*this);
  }
}

// --- readiness ---

void Connection::on_ready(uint8_t ready) {
  if (ready & FdEvent::kHangup) hangup_seen_ = true;
  if (ready & FdEvent::kWrite) writable_ = !write_broken_;
  switch (state_) {
    case State::Connecting:
      on_connect_result(ready);
      return;
    case State::Handshaking:
      pump_handshake();
      return;
    case State::Flushing:
      do_write();
      return;
    case State::WaitingForFin:
      discard_input();
      return;
    case State::Idle:
    case State::Closed:
      return;
    case State::Open:
      break;
  }
  // What is to leave at the end of the turn leaves after reading: a request does not go out on a
  // connection whose end has come.
  if ((ready & FdEvent::kWrite) && !queued()) do_write();
  if (state_ != State::Open) return;
  const bool deliver_buffered = (ready & kDeliverBuffered) != 0;
  if (ready & (FdEvent::kRead | FdEvent::kHangup)) {
    on_readable(deliver_buffered);
  } else if (deliver_buffered && pauses_ == 0 && !read_buffer_.empty()) {
    deliver(false);
  }
  if (write_broken_ && state_ == State::Open && !wants_rest_of_input()) {
    finish(CloseCause::RemoteReset);
  }
}

void Connection::on_timer() {
  switch (state_) {
    case State::Connecting:
    case State::Handshaking:
      failure_ = "connection timeout";
      finish(CloseCause::ConnectTimeout);
      return;
    case State::Open:
      check_quiet_socket();
      return;
    default:
      finish(CloseCause::LocalClose);
  }
}

// --- writing ---

void Connection::write(Buffer& data, bool end_stream) {
  if (closing()) {
    data.clear();
    return;
  }
  write_buffer_.append(std::move(data));
  if (end_stream) end_after_write_ = true;
  write_buffer_changed();
}

void Connection::write_buffer_changed() {
  if (closing()) return;
  loop_.at_end_of_turn(*this);
  check_high_water();
}

void Connection::flush() {
  if (!closing()) do_write();
}

void Connection::end_of_turn() { do_write(); }

void Connection::do_write() {
  if (!writable_ || (state_ != State::Open && state_ != State::Flushing)) return;
  const bool send_end = end_after_write_ && !fin_sent_;
  size_t sent = 0;
  IoResult result;
  while (!write_buffer_.empty() || send_end) {
    result = transport_->write(write_buffer_, send_end);
    sent += result.bytes;
    if (result.next != IoResult::Next::Ok) break;
    if (!write_buffer_.empty()) continue;
    fin_sent_ = fin_sent_ || send_end;
    break;
  }
  bytes_written_ += sent;
  if (result.next == IoResult::Next::WouldBlock) writable_ = false;
  if (result.next == IoResult::Next::Error) {
    on_write_failure();
    return;
  }
  if (state_ == State::Flushing) {
    if (sent > 0 && timer_.armed()) timer_.arm(limits_.delayed_close_ms);
    after_flush();
    return;
  }
  if (sent > 0) handler_->on_written(sent);
  check_low_water();
  // Both directions are done. Not here and now: the caller may be the handler.
  if (fin_sent_ && peer_ended_ && state_ == State::Open) event_->activate(FdEvent::kRead);
}

void Connection::on_write_failure() {
  if (state_ == State::Flushing) {
    finish(CloseCause::LocalClose);
    return;
  }
  // An answer may wait in the socket (a server that refuses a body half-way): read it first, next
  // turn.
  const int error = errno;
  const std::string_view reason = transport_->failure_reason();
  failure_ = reason.empty() ? std::string(std::strerror(error)) : std::string(reason);
  // After a FIN the kernel says EPIPE instead.
  reset_by_peer_ = reason.empty() && error == ECONNRESET;
  write_broken_ = true;
  writable_ = false;
  event_->activate(FdEvent::kRead);
}

void Connection::check_high_water() {
  if (over_high_water_ || limits_.buffer_bytes == 0) return;
  if (write_buffer_.size() <= limits_.buffer_bytes) return;
  over_high_water_ = true;
  handler_->on_write_high_water();
}

void Connection::check_low_water() {
  if (!over_high_water_ || write_buffer_.size() > limits_.buffer_bytes / 2) return;
  over_high_water_ = false;
  if (!closing()) handler_->on_write_low_water();
}

// --- closing ---

void Connection::close(CloseHow how) {
  if (state_ == State::Closed) return;
  const bool flushes = how == CloseHow::Flush || how == CloseHow::FlushAndWait;
  if (!flushes || state_ < State::Open) {
    if (how == CloseHow::Abort && socket_) set_abortive_close(fd());
    finish(CloseCause::LocalClose);
    return;
  }
  if (state_ != State::Open) return;  // already on its way
  close_how_ = how;
  // Plain close() sends what is queued and a FIN by itself; TLS has a goodbye of its own.
  if (how == CloseHow::FlushAndWait || transport_->secure()) end_after_write_ = true;
  if (write_broken_ ||
      (write_buffer_.empty() && (!end_after_write_ || fin_sent_) && how == CloseHow::Flush)) {
    finish(CloseCause::LocalClose);
    return;
  }
  state_ = State::Flushing;
  if (limits_.delayed_close_ms > 0) {
    timer_.arm(limits_.delayed_close_ms);
  } else {
    timer_.disarm();
  }
  loop_.at_end_of_turn(*this);
}

void Connection::after_flush() {
  if (!write_buffer_.empty() || (end_after_write_ && !fin_sent_)) return;
  if (close_how_ == CloseHow::Flush || peer_ended_ || limits_.delayed_close_ms == 0) {
    finish(CloseCause::LocalClose);
    return;
  }
  state_ = State::WaitingForFin;
  timer_.arm(limits_.delayed_close_ms);
  discard_input();
}

void Connection::fail(int socket_error) {
  const std::string_view reason = transport_->failure_reason();
  failure_ = reason.empty() ? std::string(std::strerror(socket_error)) : std::string(reason);
  finish(reason.empty() ? CloseCause::RemoteReset : CloseCause::TransportError);
}

void Connection::finish(CloseCause cause) {
  if (state_ == State::Closed) return;
  // A client that only closed its sending side still gets what was ready to go.
  if (cause == CloseCause::RemoteClose && writable_ && !write_buffer_.empty()) {
    bytes_written_ += transport_->write(write_buffer_, true).bytes;
  }
  state_ = State::Closed;
  close_cause_ = cause;
  timer_.disarm();
  event_.reset();
  socket_.close();
  write_buffer_.clear();
  handler_->on_closed(cause);
}

const Address& Connection::local_address() const {
  if (!local_ && socket_) local_ = local_address_of(socket_.fd());
  return local_;
}

}  // namespace remora
