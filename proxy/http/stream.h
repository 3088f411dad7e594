// One request and its response: stands between a server codec and the filters, answers locally when
// it must, keeps the deadlines and the facts for the log. What a particular server adds (checks,
// routes, headers of its own, logs) it does in a class derived from this one. Reused for one
// request after another; its worker's thread only.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/http/filter.h"
#include "proxy/http/filter_chain.h"
#include "proxy/http/local_reply.h"
#include "proxy/http/stream_info.h"
#include "proxy/http/stream_timers.h"

namespace remora::http {

class Stream : public StreamReceiver,
               private FilterChain::Exit,
               private StreamTimers::Owner,
               private EndOfTurn {
 public:
  Stream(EventLoop& loop, WorkerContext& worker);

  // --- from the codec: the request ---
  Arena& arena() final { return arena_; }
  void on_headers(HeaderMap& headers, bool end_stream) final;
  void on_data(Buffer& data, bool end_stream) final;
  void on_trailers(HeaderMap& trailers) final;
  void on_reset(ResetReason reason, std::string_view detail) final;
  void on_send_high_water() final;
  void on_send_low_water() final;

  // --- for the filters, see FilterStream ---
  StreamInfo& info() { return info_; }
  HeaderMap& request_headers() { return *request_headers_; }
  HeaderMap* response_headers() { return response_headers_; }
  void reply(const Failure& failure, std::string_view body, std::span<const ReplyHeader> headers);
  void resume(Direction direction, size_t filter) { chain_.resume(direction, filter); }
  void reset(ResetReason reason);
  void respond_informational(HeaderMap& headers);
  void respond_headers(HeaderMap& headers, bool end_stream);
  void respond_data(Buffer& data, bool end_stream);
  void respond_trailers(HeaderMap& trailers);
  void pause_request_body();
  void resume_request_body();
  uint32_t buffer_limit() const { return buffer_limit_; }
  bool restart(Buffer& body);

  virtual const router::RouteDecision& route_decision() = 0;
  virtual const router::Route* route() = 0;
  virtual void clear_route_cache() = 0;
  /// Null as well when what the route has under this name is for a filter of another type.
  virtual const void* route_config_of(std::string_view filter_name, std::string_view type) = 0;

  bool finished() const { return finished_; }
  /// The client or its connection ended the stream.
  bool was_reset() const { return was_reset_; }
  bool request_ended() const { return request_ended_; }
  bool response_started() const { return response_started_; }

 protected:
  ~Stream() override = default;

  /// The stream begins: `sender` takes its response.
  void open(StreamSender& sender, uint32_t buffer_limit, const StreamTimers::Limits& limits);
  /// The filters of this request, made in order; before run_filters().
  void begin_filters(size_t count) { chain_.begin(arena_, count, buffer_limit_); }
  /// `route_type`: the message of its overrides by routes; outlives the stream.
  void add_filter(const FilterFactory& factory, std::string_view route_type);
  /// The request, whose headers have come, enters the filters.
  void run_filters(bool end_stream);
  /// Its headers turn out to be all of it.
  void request_is_complete() { on_request_end(); }

  // --- what the server does ---
  /// The request's headers have come: check and complete them, then run_filters() or reply().
  virtual void on_request_head(HeaderMap& headers, bool end_stream) = 0;
  /// A complete request begins anew, see FilterStream::restart(): log and forget what was of it,
  /// then run_filters() or reply().
  virtual void on_restart(bool /*end_stream*/) {}
  /// A local answer begins: its headers hold nothing but the status. `own` is to be set in them.
  virtual void add_to_local_reply(std::span<const ReplyHeader> own, HeaderMap& headers) = 0;
  /// It is as it would be sent, but for what describes the body; the server may change it.
  virtual void map_local_reply(LocalReply& /*reply*/, HeaderMap& /*headers*/) {}
  /// The response's headers are about to be sent.
  virtual void on_response_head(HeaderMap& headers, bool end_stream) = 0;
  /// Whether 1xx responses of the upstream are for the client.
  virtual bool passes_informational() const = 0;
  /// A deadline passed, counted here before it is answered.
  virtual void on_stream_deadline(StreamDeadline which) = 0;
  /// The request's body is not taken for a while, and is again; counted here.
  virtual void on_request_paused() = 0;
  virtual void on_request_resumed() = 0;
  /// The stream is over and all facts are known.
  virtual void on_finished() = 0;
  /// Nothing uses the stream any more: it may be opened again or destroyed.
  virtual void on_idle() = 0;

  StreamSender* sender() { return sender_; }
  EventLoop& loop() { return loop_; }
  StreamTimers& timers() { return timers_; }

 private:
  void exit_headers(Direction direction, HeaderMap& headers, bool end_stream) override;
  void exit_data(Direction direction, Buffer& data, bool end_stream) override;
  void exit_trailers(Direction direction, HeaderMap& trailers) override;
  void on_held_too_much(Direction direction) override;
  void on_held_high_water(Direction direction) override;
  void on_held_low_water(Direction direction) override;
  void on_deadline(StreamDeadline which) override;
  void end_of_turn() override;

  void on_request_end();
  void on_response_end();
  void on_tunnel_request_end();
  void begin_anew();
  void send_local(const Failure& failure, std::string_view body,
                  std::span<const ReplyHeader> headers);
  void finish();

  EventLoop& loop_;
  WorkerContext& worker_;
  StreamSender* sender_ = nullptr;  // null: the codec knows this stream no more
  HeaderMap* request_headers_ = nullptr;
  HeaderMap* response_headers_ = nullptr;
  Asker asker_;
  uint32_t buffer_limit_ = 0;
  bool request_ended_ = false;
  bool response_started_ = false;
  bool replied_ = false;
  bool tunnel_ = false;  // open: each direction ends for itself
  bool response_ended_ = false;
  bool was_reset_ = false;
  bool finished_ = false;
  bool restarting_ = false;  // until the turn ends
  StreamInfo info_;
  Arena arena_;
  Buffer restart_body_;
  FilterChain chain_;
  StreamTimers timers_;
};

}  // namespace remora::http
