// The reading half of a connection: filling the buffer, handing out, pausing, seeing the end. Its
// worker's thread only.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "proxy/net/connection.h"
#include "proxy/net/connection_internal.h"

namespace remora {
namespace {

/// A connection that has more to read than this lets the others go first.
constexpr size_t kMaxReadBytesPerTurn = size_t{256} * 1024;
constexpr int kMaxDiscardsPerTurn = 64;
/// A reset that arrives together with bytes, or with what only the transport reads, shows no edge
/// of its own; so a connection that has been quiet for this long after an edge is looked at once.
constexpr uint64_t kQuietCheckMs = 250;

}  // namespace

size_t Connection::read_limit() const {
  return limits_.buffer_bytes == 0 ? SIZE_MAX : std::max(limits_.buffer_bytes, min_read_limit_);
}

void Connection::on_readable(bool deliver_buffered) {
  if (pauses_ != 0) {
    read_latched_ = true;
    check_early_close();
    return;
  }
  read_some(deliver_buffered);
}

void Connection::read_some(bool deliver_buffered) {
  ReadOutcome got;
  if (!peer_ended_) got = fill_read_buffer();
  bytes_read_ += got.bytes;
  if (got.end) {
    on_peer_end();
  } else if (got.bytes > 0 || (deliver_buffered && !read_buffer_.empty())) {
    deliver(false);
  }
  if (state_ != State::Open) return;
  if (got.broken) {
    fail(got.error);
  } else if (peer_ended_ && fin_sent_ && read_buffer_.empty()) {
    finish(CloseCause::RemoteClose);
  } else if (!peer_ended_) {
    timer_.arm(kQuietCheckMs);
  }
}

Connection::ReadOutcome Connection::fill_read_buffer() {
  read_latched_ = false;
  ReadOutcome got;
  const size_t limit = read_limit();
  for (;;) {
    if (read_buffer_.size() >= limit) {
      pauses_ |= kPauseByReadLimit;
      read_latched_ = true;
      return got;
    }
    if (got.bytes >= kMaxReadBytesPerTurn) {
      read_latched_ = true;
      event_->activate(FdEvent::kRead);
      return got;
    }
    const size_t most = std::min(limit - read_buffer_.size(), kMaxReadBytesPerTurn - got.bytes);
    const IoResult result = transport_->read(read_buffer_, most, hangup_seen_);
    got.bytes += result.bytes;
    got.end = result.end_of_stream;
    got.broken = result.next == IoResult::Next::Error;
    if (got.broken) got.error = errno;
    if (got.end && reset_by_peer_) {
      got.end = false;
      got.broken = true;
      got.error = ECONNRESET;
    }
    if (got.end || got.broken || result.next != IoResult::Next::Ok) return got;
  }
}

void Connection::on_peer_end() {
  if (half_close_) {
    peer_ended_ = true;
    deliver(true);
    return;
  }
  if (!read_buffer_.empty()) deliver(false);
  if (state_ == State::Open) finish(CloseCause::RemoteClose);
}

void Connection::deliver(bool end_stream) {
  delivering_ = true;
  handler_->on_data(read_buffer_, end_stream);
  delivering_ = false;
  if (state_ == State::Open) after_delivery();
}

void Connection::after_delivery() {
  const bool was_limited = (pauses_ & kPauseByReadLimit) != 0;
  if (was_limited && read_buffer_.size() < read_limit()) {
    pauses_ &= static_cast<uint8_t>(~kPauseByReadLimit);
    resumed_ = true;
  }
  if (!std::exchange(resumed_, false) || pauses_ != 0) return;
  uint8_t ready = 0;
  if (read_latched_) ready |= FdEvent::kRead;
  if (!read_buffer_.empty() && !was_limited) ready |= kDeliverBuffered;
  if (ready != 0) event_->activate(ready);
}

void Connection::pause_reading(PauseReason why) { pauses_ |= why; }

void Connection::resume_reading(PauseReason why) {
  pauses_ &= static_cast<uint8_t>(~why);
  if (state_ != State::Open) return;
  if (delivering_) {
    resumed_ = true;  // decided when on_data() has returned
    return;
  }
  if (read_buffer_.size() < read_limit()) pauses_ &= static_cast<uint8_t>(~kPauseByReadLimit);
  if (pauses_ != 0) return;
  uint8_t ready = 0;
  if (read_latched_) ready |= FdEvent::kRead;
  if (!read_buffer_.empty()) ready |= kDeliverBuffered;
  if (ready != 0) event_->activate(ready);
}

bool Connection::paused_for_room() const {
  return (pauses_ & (kPauseByPeerBuffer | kPauseByReadLimit)) != 0;
}

/// The peer takes nothing any more; is what it sent before still worth waiting for?
bool Connection::wants_rest_of_input() const {
  if (!read_latched_) return false;
  return pauses_ == 0 || (paused_for_room() && !detect_early_close_);
}

void Connection::check_early_close() {
  // Paused for lack of room, the peer's last bytes may still be wanted.
  if (!detect_early_close_ || paused_for_room()) return;
  if (const int error = pending_socket_error(fd()); error != 0) {
    fail(error);
  } else if (hangup_seen_ && !half_close_) {
    finish(CloseCause::RemoteClose);
  }
}

void Connection::check_quiet_socket() {
  char byte;
  const ssize_t waiting = ::recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (waiting < 0 && errno == EAGAIN) return;
  if (waiting <= 0) hangup_seen_ = true;
  // The look has taken the error; what is read next is an end like any other.
  if (waiting < 0 && errno == ECONNRESET) reset_by_peer_ = true;
  on_readable(false);
}

void Connection::discard_input() {
  char scratch[16 * 1024];
  for (int i = 0; i < kMaxDiscardsPerTurn; ++i) {
    const ssize_t got = ::recv(fd(), scratch, sizeof(scratch), 0);
    if (got > 0) continue;
    if (got < 0 && errno == EAGAIN) return;
    finish(CloseCause::LocalClose);
    return;
  }
  event_->activate(FdEvent::kRead);
}

}  // namespace remora
