// One try at an upstream: from asking the pool for a connection to the end of the response or its
// failure. Owned by the router filter, in the stream's arena; its worker's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "proxy/base/timer_wheel.h"
#include "proxy/http/codec.h"
#include "proxy/router/tcp_stream.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/tcp_pool.h"

namespace remora::router {

class Attempt final : public http::StreamReceiver,
                      public upstream::HttpPoolWaiter,
                      private upstream::TcpWaiter {
 public:
  /// What an attempt has a time for: to begin an answer, between two parts of it, and altogether.
  enum class Bound : uint8_t { Headers, Idle, Stream };

  /// Who made the attempt. After on_attempt_failed the attempt makes no more calls.
  class Owner {
   public:
    virtual Arena& attempt_arena() = 0;
    /// A stream is open: send the request.
    virtual void on_attempt_open(Attempt& attempt) = 0;
    virtual void on_attempt_informational(Attempt& attempt, http::HeaderMap& headers) = 0;
    virtual void on_attempt_headers(Attempt& attempt, http::HeaderMap& headers,
                                    bool end_stream) = 0;
    virtual void on_attempt_data(Buffer& data, bool end_stream) = 0;
    virtual void on_attempt_trailers(http::HeaderMap& trailers) = 0;
    /// `detail`: transport failure reason, or empty.
    virtual void on_attempt_failed(Attempt& attempt, http::ResetReason reason,
                                   std::string_view detail) = 0;
    /// The time is over; the attempt goes on until it is abandoned.
    virtual void on_attempt_overdue(Attempt& attempt, Bound bound) = 0;
    /// What is sent to the upstream does not leave, and leaves again.
    virtual void on_attempt_high_water() = 0;
    virtual void on_attempt_low_water() = 0;

   protected:
    ~Owner() = default;
  };

  Attempt(Owner& owner, upstream::HostPtr host, TimerWheel& timers);
  ~Attempt() { abandon(); }

  /// Asks for a connection; on_attempt_open() may come before this returns. Answers why when there
  /// is none to be had.
  std::optional<http::ResetReason> start(upstream::Cluster& cluster, upstream::Priority priority,
                                         const upstream::ConnectionNeeds& needs);
  /// The same for a TCP connection, which carries the bytes of the tunnel that ends here.
  std::optional<http::ResetReason> start_raw(upstream::Cluster& cluster,
                                             const upstream::ConnectionNeeds& needs);
  /// The whole request is on its way. 0: there is no such bound.
  void bound_answer(uint64_t headers_ms, uint64_t idle_ms);
  void bound_stream(uint64_t ms) { stream_timer_.arm(ms); }
  /// Ends the attempt quietly: a place in the queue is given up, an open stream reset.
  void abandon();

  /// Null before it opened and after it ended.
  http::StreamSender* sender() { return sender_; }
  /// The response is complete; nothing is left to reset.
  void complete();
  bool opened() const { return opened_; }
  /// Failed, and the upstream has certainly processed nothing of the request.
  bool unprocessed() const { return unprocessed_; }
  /// Whether such a failure can happen to it, as far as is known when it opens.
  bool may_go_unprocessed() const { return may_go_unprocessed_; }
  bool in_flight() const { return sender_ != nullptr || pending_ != nullptr; }
  const upstream::HostPtr& host() const { return host_; }
  /// The connection of an open attempt; for facts that logs want.
  Connection& connection() { return *connection_; }
  /// Of an attempt that start_raw() began and that is open; null otherwise.
  TcpStream* raw() { return raw_.get(); }

  bool awaiting_headers() const { return !over_ && !headers_seen_; }

  bool replaced = false;          // it was late, and another attempt has been made besides
  bool lateness_counted = false;  // by outlier detection
  Attempt* previous = nullptr;    // the router's list of all attempts

 private:
  // --- HttpPoolWaiter ---
  void on_pool_ready(upstream::HttpConnection& connection) override;
  void on_pool_failure(upstream::PoolFailure failure, std::string_view detail,
                       const upstream::HostPtr& host) override;
  // --- TcpWaiter ---
  void on_tcp_ready(std::unique_ptr<upstream::TcpConnection> connection) override;
  void on_tcp_failure(upstream::PoolFailure failure, std::string_view detail,
                      const upstream::HostPtr& host) override {
    on_pool_failure(failure, detail, host);
  }
  // --- StreamReceiver ---
  Arena& arena() override { return owner_.attempt_arena(); }
  void on_informational(http::HeaderMap& headers) override;
  void on_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_trailers(http::HeaderMap& trailers) override;
  void on_reset(http::ResetReason reason, std::string_view detail) override;
  void on_send_high_water() override;
  void on_send_low_water() override;

  void on_headers_late() { owner_.on_attempt_overdue(*this, Bound::Headers); }
  void on_idle() { owner_.on_attempt_overdue(*this, Bound::Idle); }
  void on_stream_late() { owner_.on_attempt_overdue(*this, Bound::Stream); }
  void note_progress();
  void stop_timers();
  void leave_high_water();
  void count_reset(http::ResetReason reason);
  void measure(const http::HeaderMap& headers);
  void read_load(const http::HeaderMap& headers);

  Owner& owner_;
  upstream::HostPtr host_;
  std::unique_ptr<upstream::PendingRequest> pending_;
  std::unique_ptr<TcpStream> raw_;
  Connection* connection_ = nullptr;
  const upstream::HttpConnection* pooled_ = nullptr;
  http::StreamSender* sender_ = nullptr;
  upstream::Cluster* cluster_ = nullptr;
  uint64_t opened_us_ = 0;
  bool opened_ = false;
  bool load_reported_ = false;
  bool over_ = false;
  bool headers_seen_ = false;
  bool unprocessed_ = false;
  bool may_go_unprocessed_ = false;
  bool over_high_water_ = false;
  uint64_t idle_ms_ = 0;
  Timer headers_timer_;
  Timer idle_timer_;
  Timer stream_timer_;
};

}  // namespace remora::router
