// One HTTP/2 connection as bytes in, bytes out and streams: HPACK, flow control, limits. It knows
// no socket; a codec feeds it what was read and takes what is to be written. The only file that
// calls nghttp2, with stream.cc and flood_limits.cc. Owned by its codec; that connection's thread
// only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/intrusive_list.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/http/codec.h"
#include "proxy/http2/flood_limits.h"
#include "proxy/http2/receive_windows.h"
#include "proxy/http2/recent_resets.h"
#include "proxy/http2/session_options.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"

struct nghttp2_session;

namespace remora::http2 {

class Stream;
struct Callbacks;
struct HasNews;
struct Unsettled;
struct SetAside;

enum class Role : uint8_t { Client, Server };

/// The codec above a session.
class SessionUser {
 public:
  /// Server: a request begins; only its receiver's arena is used before turn(). Must not call back.
  virtual http::StreamReceiver* on_new_stream(http::StreamSender& /*response*/) { return nullptr; }
  /// turn() wants to be called at the end of this loop turn.
  virtual void on_work_pending() = 0;
  /// The peer reset or broke a stream; on_stream_ended() follows.
  virtual void on_stream_failed(http::ResetReason reason) = 0;
  virtual void on_stream_ended() = 0;
  virtual void on_goaway() = 0;                   // no new streams from now on
  virtual void on_max_streams(uint32_t max) = 0;  // the peer's SETTINGS
  /// From turn() or a timer: the peer broke the protocol, or does not answer.
  virtual void on_session_error(std::string_view detail) = 0;

 protected:
  ~SessionUser() = default;
};

/// The error of a session whose PING was not answered in time.
inline constexpr std::string_view kKeepaliveTimeout = "http2.keepalive_timeout";

/// Where sessions count: the slab of `http2` or `cluster.NAME.http2`.
using SessionStats = stats::Slab<stats::Http2Schema>;

class Session {
 public:
  /// The preface (client) and SETTINGS wait to be written. `stats` may be null.
  Session(Role role, const SessionOptions& options, SessionUser& user, TimerWheel& timers,
          BlockPool& blocks, SessionStats* stats = nullptr);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Takes in all of `data` and tells the streams what came. False: the connection is broken,
  /// error() says how; turn() then still yields a GOAWAY that explains it to the peer.
  bool receive(Buffer& data);
  /// Delivers what waited, moves the frames that are ready into `out` until it holds `max_bytes`,
  /// and frees streams that are over. Receivers are called from here.
  void turn(Buffer& out, size_t max_bytes);

  http::StreamSender& open_stream(http::StreamReceiver& response);
  bool can_open_stream() const;
  /// Server: new streams are still served, but the client is told not to open any; after
  /// finish_drain() they are ignored. RFC 9113 section 6.8.
  void start_drain();
  void finish_drain();
  /// The peer asks for too much: it is told to calm down, the user by on_session_error().
  void give_up(std::string_view detail);
  size_t active_streams() const { return streams_.size() - dead_.size(); }
  /// Every stream hears on_reset(); nothing may be sent or counted any more: where sessions count
  /// may end before this one.
  void abandon(http::ResetReason reason, std::string_view detail);
  /// No new streams; what is open goes on.
  bool draining() const { return draining_; }
  bool broken() const { return broken_; }
  const std::string& error() const { return error_; }

 private:
  friend class Stream;
  friend struct Callbacks;

  void submit_settings();
  void on_data(size_t bytes);
  void on_ping_answered(const uint8_t* opaque);
  template <class Whose>
  Stream& add_stream(Whose& whose);
  Stream* accept_stream(int32_t id);
  void want_turn() { user_.on_work_pending(); }
  void news(Stream& stream);       // it has something to deliver
  void unsettled(Stream& stream);  // what it has to send grew or shrank
  void bury(Stream& stream);
  void reset_after_encoding(Stream& stream);
  void deliver_all();
  void encode(Buffer& out, size_t max_bytes);
  void submit_resets();
  void account(size_t appended, size_t waiting);
  void settle();
  void sweep();
  void fail(std::string_view detail, uint32_t error_code);
  void tell_user();
  void on_goaway_sent(uint32_t error_code);
  void send_ping();
  void alive();  // something was read
  uint64_t keepalive_delay();
  void on_keepalive_timer();
  void release_heads();
  void stop_counting();
  void count(stats::Http2Stat stat, uint64_t n = 1) {
    if (stats_ != nullptr) stats_->add(stat, n);
  }
  void uncount(stats::Http2Stat gauge, uint64_t n = 1) {
    if (stats_ != nullptr) stats_->sub(gauge, n);
  }

  const Role role_;
  const SessionOptions options_;
  SessionUser& user_;
  BlockPool& blocks_;
  TimerWheel& timers_;
  SessionStats* stats_;  // null: not counted, or no more since abandon()
  nghttp2_session* session_ = nullptr;
  FloodGuard guard_;
  int32_t last_accepted_ = 0;   // the newest stream that the peer has opened
  Stream* arriving_ = nullptr;  // whose header block is under way
  RecentResets our_resets_;
  OutboundFrames outbound_;
  ReceiveWindows windows_;
  std::pair<uint64_t, uint64_t> outbound_shown_;  // in the gauges: frames, control frames
  std::vector<Stream*> streams_;                  // any order; a stream knows its index
  std::vector<Stream*> dead_;                     // over for both sides, to be freed by sweep()
  IntrusiveList<Stream, HasNews> news_;
  IntrusiveList<Stream, Unsettled> unsettled_;            // water marks to look at after encoding
  IntrusiveList<Stream, SetAside> waiting_for_settings_;  // client: their heads depend on them
  IntrusiveList<Stream, SetAside> resetting_;  // server: RST_STREAM leaves behind what they sent
  bool peer_settings_came_ = false;
  bool draining_ = false;
  bool goaway_told_ = false;
  bool broken_ = false;
  bool error_untold_ = false;
  bool abandoned_ = false;
  Buffer* out_ = nullptr;  // while encoding
  size_t out_max_bytes_ = 0;
  BlockRef input_block_;  // while receiving: where the bytes at hand lie
  std::string_view input_;
  std::optional<uint32_t> max_streams_changed_;
  std::string library_message_;  // nghttp2's last complaint
  std::string error_;
  Timer keepalive_;
  bool ping_outstanding_ = false;
  MonotonicMs last_read_;
  uint64_t keepalive_delay_ms_ = 0;  // the interval with its jitter
  uint32_t jitter_state_;
};

}  // namespace remora::http2
