// A stream connection, downstream or upstream: socket, transport, write buffer, back-pressure,
// closing. Reading is edge-triggered with no timer and no epoll_ctl per message; writes are
// gathered and leave once at the end of the loop turn. Owned by its listener side (Worker) or its
// pool; that worker's thread only. CONTRACT.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"
#include "proxy/net/address.h"
#include "proxy/net/socket.h"
#include "proxy/net/transport.h"

namespace remora {

/// Why a connection ended, as its handler hears it.
enum class CloseCause : uint8_t {
  RemoteClose,     // FIN read (both directions done)
  RemoteReset,     // ECONNRESET or another socket error
  LocalClose,      // close() was called
  ConnectFailed,   // upstream: refused, unreachable
  ConnectTimeout,  // upstream
  TransportError,  // TLS
};

enum class CloseHow : uint8_t {
  Flush,         // write what is buffered, send FIN, close
  FlushAndWait,  // the same, then wait for the peer's FIN up to delayed_close_ms, discarding input,
                 // so that a RST does not destroy an answer in flight (RFC 9112 section 9.6)
  NoFlush,       // drop what is buffered, close
  Abort,         // RST
};

/// Who stopped reading; reading goes on when no bit is left.
enum PauseReason : uint8_t {
  kPauseByFilter = 1,      // a network filter waits for something
  kPauseByPeerBuffer = 2,  // the other side of the proxy is over its high-water mark
  kPauseByCodec = 4,       // the codec holds an unfinished stream and wants nothing more
  kPauseByReadLimit = 8,   // what was read is not consumed yet
};

/// Who consumes a connection's bytes: the network filter chain downstream, a codec or relay
/// upstream.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  /// TCP connected and transport ready (TLS handshake done). Downstream: called when the transport
  /// gets ready.
  virtual void on_connected() = 0;
  /// New bytes, appended to what was not consumed before. `end_stream`: the peer's FIN came after
  /// them. Called at most once with end_stream (then possibly with no new bytes); what is left
  /// unconsumed by then comes again after resume_reading(), with end_stream false and peer_ended()
  /// true.
  virtual void on_data(Buffer& data, bool end_stream) = 0;
  /// The last call. May come from inside close(), never from inside any other call. The owner now
  /// hands the connection to EventLoop::defer_delete(): its own functions are still on the stack.
  virtual void on_closed(CloseCause cause) = 0;
  /// The write buffer rose over its limit, and fell below half of it.
  virtual void on_write_high_water() = 0;
  virtual void on_write_low_water() = 0;
  /// Bytes went out (after a flush); for idle timers and byte counters. Default: nothing.
  virtual void on_written(size_t bytes) {}
};

struct ConnectionLimits {
  uint32_t buffer_bytes =
      1024 * 1024;  // per_connection_buffer_limit_bytes: high-water mark, both ways; 0: none
  uint32_t delayed_close_ms = 1000;
};

class Connection : public Deferrable, private EndOfTurn {
 public:
  /// An accepted, connected socket. `handler` outlives on_closed(). Nothing is read before begin().
  Connection(EventLoop& loop, Socket socket, std::unique_ptr<Transport> transport,
             const ConnectionLimits& limits);
  ~Connection() override;

  void set_handler(ConnectionHandler& handler) { handler_ = &handler; }

  /// Downstream: registers the socket and starts the transport. `already_read`: bytes that listener
  /// filters peeked or read (handed to the handler first).
  void begin(Buffer* already_read = nullptr);
  /// Upstream: the socket is connecting (`connect_error` 0 or EINPROGRESS, else fails in the next
  /// turn, never inside this call). Fails with ConnectTimeout after `timeout_ms`.
  void begin_connecting(int connect_error, uint64_t timeout_ms);

  /// Appends to the write buffer (moving the bytes); flushed at the end of the turn. `end_stream`:
  /// FIN after it.
  void write(Buffer& data, bool end_stream);
  Buffer& write_buffer() { return write_buffer_; }
  /// Codecs encode straight into write_buffer() and then call this.
  void write_buffer_changed();
  /// Flushes now instead of at the end of the turn. Calls on_written() and the low-water mark at
  /// most.
  void flush();

  /// NoFlush, Abort, and Flush with nothing to flush end in on_closed() before this returns.
  void close(CloseHow how);
  /// True from close() (or the peer's) on; nothing more is delivered.
  bool closing() const { return state_ >= State::Flushing; }
  bool closed() const { return state_ == State::Closed; }
  CloseCause close_cause() const { return close_cause_; }  // once closed()

  void pause_reading(PauseReason why);
  void resume_reading(
      PauseReason why);  // may deliver buffered bytes, from the loop, not inside this call
  /// At least so many bytes are read before the handler has to consume some. A codec that consumes
  /// whole message heads only says how long one may be; otherwise a small buffer limit would stop
  /// it for ever.
  void set_min_read_limit(uint32_t bytes) { min_read_limit_ = bytes; }
  /// While reading is paused, a peer that hangs up ends the connection at once (an HTTP client that
  /// left while its request is being served) unless it is paused for lack of room, when unread
  /// bytes may matter. Default: off, the end is seen when reading goes on.
  void set_detect_early_close(bool enabled) { detect_early_close_ = enabled; }
  bool reading_paused() const { return pauses_ != 0; }
  /// Half-close: true delivers end_stream and keeps the sending side open; false closes on FIN
  /// (default true).
  void set_half_close(bool enabled) { half_close_ = enabled; }
  bool peer_ended() const { return peer_ended_; }  // end_stream was delivered
  bool write_ended() const { return end_after_write_; }

  const Address& local_address() const;  // as accepted or bound; lazily read from the kernel
  const Address& peer_address() const { return peer_; }
  void set_addresses(Address local, Address peer) {
    local_ = std::move(local);
    peer_ = std::move(peer);
  }
  Transport& transport() { return *transport_; }
  EventLoop& loop() { return loop_; }
  int fd() const { return socket_.fd(); }
  uint64_t id() const { return id_; }  // unique in the process (worker index in the top bits)
  void set_id(uint64_t id) { id_ = id; }
  /// How long a flushing close() may take; 0: flushing takes as long as it takes, and FlushAndWait
  /// does not wait.
  void set_delayed_close_ms(uint32_t timeout_ms) { limits_.delayed_close_ms = timeout_ms; }
  const ConnectionLimits& limits() const { return limits_; }
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  MonotonicMs opened_at() const { return opened_at_; }
  /// What was received and not consumed (a handler that stopped consuming leaves bytes here).
  Buffer& read_buffer() { return read_buffer_; }
  std::string_view failure_detail() const { return failure_; }  // "Connection refused", TLS reason

 private:
  enum class State : uint8_t {
    Idle,
    Connecting,
    Handshaking,
    Open,
    Flushing,
    WaitingForFin,
    Closed
  };
  struct ReadOutcome;

  // --- readiness (connection.cc) ---
  void watch_socket();
  void on_ready(uint8_t ready);
  void on_connect_result(uint8_t ready);
  void start_transport();
  void pump_handshake();
  void become_open();
  void on_timer();

  // --- reading (connection_read.cc) ---
  void on_readable(bool deliver_buffered);
  void read_some(bool deliver_buffered);
  ReadOutcome fill_read_buffer();
  void deliver(bool end_stream);
  void after_delivery();
  void on_peer_end();
  void check_early_close();
  bool paused_for_room() const;
  bool wants_rest_of_input() const;
  void check_quiet_socket();
  void discard_input();
  size_t read_limit() const;

  // --- writing and closing (connection.cc) ---
  void end_of_turn() override;
  void do_write();
  void on_write_failure();
  void after_flush();
  void finish(CloseCause cause);
  void fail(int socket_error);
  void check_high_water();
  void check_low_water();

  EventLoop& loop_;
  Socket socket_;
  std::unique_ptr<Transport> transport_;
  ConnectionHandler* handler_ = nullptr;
  ConnectionLimits limits_;
  State state_ = State::Idle;
  uint8_t pauses_ = 0;
  bool read_latched_ = false;   // bytes or a FIN may wait in the socket
  bool delivering_ = false;     // on_data() is on the stack
  bool resumed_ = false;        // resume_reading() was called meanwhile
  bool write_broken_ = false;   // the peer takes nothing any more; what it sent may still be read
  bool reset_by_peer_ = false;  // a write has come upon it; no read will tell it from an end
  bool detect_early_close_ = false;
  bool hangup_seen_ = false;
  bool half_close_ = true;
  bool peer_ended_ = false;
  bool end_after_write_ = false;
  bool fin_sent_ = false;
  bool writable_ = true;
  bool over_high_water_ = false;
  CloseHow close_how_ = CloseHow::NoFlush;
  CloseCause close_cause_ = CloseCause::LocalClose;
  Buffer read_buffer_;
  Buffer write_buffer_;
  std::unique_ptr<FdEvent> event_;
  Timer timer_;  // connect timeout, then delayed close
  mutable Address local_;
  Address peer_;
  uint32_t min_read_limit_ = 64 * 1024;
  int connect_error_ = 0;
  std::string failure_;
  uint64_t id_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  MonotonicMs opened_at_ = 0;
};

}  // namespace remora
