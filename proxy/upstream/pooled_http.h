// One pooled upstream connection with its codec: from connect to close, with its accounting. Owned
// by its HttpPool, which destroys it at the end of the turn in which it closed. Thread: the
// worker's.
#pragma once

#include <memory>

#include "proxy/base/intrusive_list.h"
#include "proxy/http/codec.h"
#include "proxy/http1/client_codec.h"
#include "proxy/net/connection.h"
#include "proxy/upstream/connect_race.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/unprocessed.h"

namespace remora::upstream {

class PooledHttp final : public HttpConnection,
                         public Deferrable,
                         public ListLink,
                         private ConnectionHandler,
                         private http::ClientCodecHandler,
                         private http1::KeepAliveListener,
                         private EndOfTurn {
 public:
  /// `socket` is connecting (`connect_error`: 0, EINPROGRESS or a failure that is told from the
  /// loop).
  PooledHttp(HttpPool& pool, HostPtr host, Socket socket, int connect_error);
  ~PooledHttp() override;

  // --- HttpConnection ---
  http::StreamSender& new_stream(http::StreamReceiver& response) override;
  const HostPtr& host() const override { return host_; }
  Connection& connection() override { return connection_; }
  uint64_t streams_before() const override { return streams_opened_; }
  bool unprocessed() const override { return reused_ && (refused_ || bytes_sent() == 0); }

  /// Room for a stream now.
  bool ready() const;
  bool idle() const { return active_streams_ == 0; }
  /// Idle for so long that the host is about to close it.
  bool overdue() const;
  /// Carries no more requests: closes, or stays to see when the host closes it.
  void retire();
  uint32_t active_streams() const { return active_streams_; }
  /// Streams that it has room for besides.
  uint32_t room() const {
    return ready() && expected_capacity_ > active_streams_ ? expected_capacity_ - active_streams_
                                                           : 0;
  }
  /// Streams that it has room for once connected.
  uint32_t expected_capacity() const { return expected_capacity_; }
  /// Takes no more streams.
  void take_no_more() { draining_ = true; }
  /// Takes no more streams, and closes when it has none.
  void drain();
  /// Closes at once.
  void close();
  /// Called by the pool when it has put an idle connection among the ready ones.
  void start_idling();

 private:
  // --- ConnectionHandler ---
  void on_connected() override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override;
  void on_write_low_water() override;
  void on_written(size_t bytes) override;
  // --- ClientCodecHandler ---
  void on_codec_draining() override;
  void on_stream_ended() override;
  void on_stream_failed(http::ResetReason reason) override;
  void on_codec_error(std::string_view detail) override;
  void on_max_streams(uint32_t max) override;

  // --- KeepAliveListener ---
  void on_keep_alive(std::string_view value) override;

  void end_of_turn() override;
  void settle();
  void on_idle_timeout();
  uint64_t idle_ms() const;
  uint64_t bytes_sent() const { return connection_.bytes_written() - bytes_before_; }
  void learn_idle_close();
  void show_idle_close();
  Fate fate() const;
  void judge_end();
  void refuse_answer(bool end_stream);
  void dispatch(Buffer& data, bool end_stream);
  void on_duration_reached();
  void connect_failed(CloseCause cause);
  void stream_released();
  void count_protocol(HttpProtocol protocol);
  void count_received();
  void count_closed(CloseCause cause, bool had_streams);

  HttpPool& pool_;
  const HostPtr host_;
  Connection connection_;
  std::unique_ptr<ConnectRace> race_;         // of a host with several addresses
  std::unique_ptr<http::ClientCodec> codec_;  // from on_connected() on
  Timer idle_timer_;
  std::unique_ptr<Timer> duration_timer_;  // only when the cluster bounds it
  const uint64_t created_us_;
  uint64_t streams_opened_ = 0;
  uint64_t streams_left_;  // max_requests_per_connection
  uint64_t bytes_counted_ = 0;
  uint64_t bytes_before_ = 0;   // written when it was idle last
  uint64_t idle_since_ms_ = 0;  // when it was that
  uint32_t fate_wait_ms_ = 0;   // the last pause on the way to know what the peer has read
  uint32_t expected_capacity_;
  uint32_t active_streams_ = 0;
  const bool failed_at_once_;
  bool reused_ = false;   // it has been idle between streams
  bool refused_ = false;  // proven: nothing of the present request was processed
  bool secure_ = false;
  bool draining_ = false;
  bool dispatching_ = false;
  bool codec_failed_ = false;
  bool peer_silent_ = false;
  bool stream_failed_ = false;
  bool remote_ended_ = false;
  bool closed_here_ = false;
};

}  // namespace remora::upstream
