#include "proxy/http/stream.h"

#include "proxy/http/upgrade.h"

namespace remora::http {
namespace {

/// What one filter sees of its stream.
class FilterHandle final : public FilterStream {
 public:
  FilterHandle(Stream& stream, WorkerContext& worker, size_t index, std::string_view route_type)
      : stream_(stream), worker_(worker), index_(index), route_type_(route_type) {}

  Arena& arena() override { return stream_.arena(); }
  WorkerContext& worker() override { return worker_; }
  StreamInfo& info() override { return stream_.info(); }
  HeaderMap& request_headers() override { return stream_.request_headers(); }
  HeaderMap* response_headers() override { return stream_.response_headers(); }
  const router::Route* route() override { return stream_.route(); }
  const router::RouteDecision& route_decision() override { return stream_.route_decision(); }
  void clear_route_cache() override { stream_.clear_route_cache(); }
  const void* route_config_of(std::string_view name) override {
    return stream_.route_config_of(name, route_type_);
  }
  FilterStatus reply(const Failure& failure, std::string_view body,
                     std::span<const ReplyHeader> headers) override {
    stream_.reply(failure, body, headers);
    return replied();
  }
  void resume(Direction direction) override { stream_.resume(direction, index_); }
  void reset(ResetReason reason) override { stream_.reset(reason); }
  void respond_informational(HeaderMap& headers) override {
    stream_.respond_informational(headers);
  }
  void respond_headers(HeaderMap& headers, bool end_stream) override {
    stream_.respond_headers(headers, end_stream);
  }
  void respond_data(Buffer& data, bool end_stream) override {
    stream_.respond_data(data, end_stream);
  }
  void respond_trailers(HeaderMap& trailers) override { stream_.respond_trailers(trailers); }
  void pause_request_body() override { stream_.pause_request_body(); }
  void resume_request_body() override { stream_.resume_request_body(); }
  uint32_t buffer_limit() const override { return stream_.buffer_limit(); }
  bool restart(Buffer& body) override { return stream_.restart(body); }

 private:
  Stream& stream_;
  WorkerContext& worker_;
  const size_t index_;
  const std::string_view route_type_;
};

/// 408 while the client still sends, 504 once its request is complete.
Failure timed_out(Failure failure, bool request_ended) {
  failure.status = request_ended ? 504 : 408;
  return failure;
}

ResponseFlag flag_of_client(ResetReason reason) {
  switch (reason) {
    case ResetReason::ProtocolError:
      return ResponseFlag::DPE;
    case ResetReason::RemoteReset:
    case ResetReason::RemoteRefused:
      return ResponseFlag::DR;
    default:
      return ResponseFlag::DC;
  }
}

}  // namespace

Stream::Stream(EventLoop& loop, WorkerContext& worker)
    : loop_(loop),
      worker_(worker),
      arena_(loop.blocks()),
      restart_body_(loop.blocks()),
      chain_(*this),
      timers_(loop.timers(), *this) {}

void Stream::open(StreamSender& sender, uint32_t buffer_limit, const StreamTimers::Limits& limits) {
  sender_ = &sender;
  request_headers_ = nullptr;
  response_headers_ = nullptr;
  asker_ = {};
  buffer_limit_ = buffer_limit;
  request_ended_ = response_started_ = replied_ = was_reset_ = finished_ = false;
  tunnel_ = response_ended_ = false;
  info_ = StreamInfo();
  info_.start_wall_ns = loop_.time().wall_ns;
  info_.start_us = loop_.time().now_us;
  timers_.start(limits);
}

void Stream::add_filter(const FilterFactory& factory, std::string_view route_type) {
  auto* handle = arena_.make<FilterHandle>(*this, worker_, chain_.size(), route_type);
  chain_.add(factory.make(*handle), factory.events());
}

void Stream::run_filters(bool end_stream) {
  chain_.headers(Direction::Request, *request_headers_, end_stream);
}

// ------------------------------------------------------------------------------------------- the
// request comes in

void Stream::on_headers(HeaderMap& headers, bool end_stream) {
  request_headers_ = &headers;
  info_.request_headers = &headers;
  asker_ = Asker::of(headers);
  if (finished_) return;
  timers_.on_activity();
  timers_.on_headers_complete();
  if (end_stream) on_request_end();
  on_request_head(headers, end_stream);
}

void Stream::on_data(Buffer& data, bool end_stream) {
  if (finished_) {
    data.clear();
    return;
  }
  timers_.on_activity();
  info_.bytes_received += data.size();
  if (end_stream) on_request_end();
  chain_.data(Direction::Request, data, end_stream);
  // No filter waits for what follows a local answer.
  if (end_stream && replied_) on_tunnel_request_end();
}

void Stream::on_trailers(HeaderMap& trailers) {
  if (finished_) return;
  timers_.on_activity();
  on_request_end();
  chain_.trailers(Direction::Request, trailers);
}

void Stream::on_request_end() {
  request_ended_ = true;
  info_.request_end_us = loop_.time().now_us;
  timers_.on_request_complete();
}

void Stream::on_reset(ResetReason reason, std::string_view detail) {
  sender_ = nullptr;
  if (finished_) return;
  was_reset_ = true;
  info_.flags.set(flag_of_client(reason));
  info_.response_code_details =
      detail.empty() ? failures::kDownstreamDisconnect.details : arena_.copy(detail);
  finish();
}

void Stream::on_send_high_water() {
  if (Filter* last = chain_.last(); last != nullptr && !finished_) last->on_response_high_water();
}

void Stream::on_send_low_water() {
  if (Filter* last = chain_.last(); last != nullptr && !finished_) last->on_response_low_water();
}

void Stream::pause_request_body() {
  if (sender_ == nullptr) return;
  on_request_paused();
  sender_->pause_receiving();
}

void Stream::resume_request_body() {
  if (sender_ == nullptr) return;
  on_request_resumed();
  sender_->resume_receiving();
}

// ------------------------------------------------------------------------------------------ the
// response goes out

void Stream::respond_informational(HeaderMap& headers) {
  if (finished_ || replied_ || response_started_) return;
  timers_.on_activity();
  if (passes_informational()) sender_->send_informational(headers);
}

void Stream::respond_headers(HeaderMap& headers, bool end_stream) {
  if (finished_ || replied_) return;
  timers_.on_activity();
  response_headers_ = &headers;
  info_.response_headers = &headers;
  chain_.headers(Direction::Response, headers, end_stream);
}

void Stream::respond_data(Buffer& data, bool end_stream) {
  if (finished_ || replied_) {
    data.clear();
    return;
  }
  timers_.on_activity();
  chain_.data(Direction::Response, data, end_stream);
}

void Stream::respond_trailers(HeaderMap& trailers) {
  if (finished_ || replied_) return;
  timers_.on_activity();
  info_.response_trailers = &trailers;
  chain_.trailers(Direction::Response, trailers);
}

void Stream::exit_headers(Direction direction, HeaderMap& headers, bool end_stream) {
  if (direction == Direction::Request || sender_ == nullptr) return;
  on_response_head(headers, end_stream);
  response_started_ = true;
  info_.response_code = headers.status();
  info_.response_first_us = loop_.time().now_us;
  if (opens_tunnel(info_.tunnel, info_.response_code) && !end_stream) {
    tunnel_ = true;
    timers_.on_request_complete();
  }
  sender_->send_headers(headers, end_stream);
  if (end_stream) on_response_end();
}

void Stream::exit_data(Direction direction, Buffer& data, bool end_stream) {
  if (direction == Direction::Request || sender_ == nullptr) {
    data.clear();
    if (direction == Direction::Request && end_stream) on_tunnel_request_end();
    return;
  }
  info_.bytes_sent += data.size();
  sender_->send_data(data, end_stream);
  if (end_stream) on_response_end();
}

void Stream::exit_trailers(Direction direction, HeaderMap& trailers) {
  if (direction == Direction::Request) return on_tunnel_request_end();
  if (sender_ == nullptr) return;
  sender_->send_trailers(trailers);
  on_response_end();
}

/// The answer is complete. Should the client still send, its codec drops the rest, unless this is a
/// tunnel.
void Stream::on_response_end() {
  response_ended_ = true;
  if (!tunnel_ || request_ended_) finish();
}

void Stream::on_tunnel_request_end() {
  if (tunnel_ && response_ended_ && !finished_) finish();
}

// ----------------------------------------------------------------------------------------------------
// local answers

void Stream::reply(const Failure& failure, std::string_view body,
                   std::span<const ReplyHeader> headers) {
  if (finished_) return;
  if (failure.flag != kNoFlag) info_.flags.set(failure.flag);
  info_.response_code_details = failure.details;
  if (response_started_ || failure.status == 0 || sender_ == nullptr) {
    reset(ResetReason::LocalReset);
    return;
  }
  replied_ = true;
  chain_.stop(Direction::Request);
  chain_.restart_response();
  send_local(failure, body.empty() ? failure.body : body, headers);
}

void Stream::send_local(const Failure& failure, std::string_view body,
                        std::span<const ReplyHeader> headers) {
  HeaderMap& response = begin_local_reply(failure.status, arena_);
  response_headers_ = &response;
  info_.response_headers = &response;
  add_to_local_reply(headers, response);
  LocalReply reply{.status = failure.status, .body = body, .grpc_status = failure.grpc_status};
  map_local_reply(reply, response);
  body = complete_local_reply(reply, asker_, response);
  chain_.headers(Direction::Response, response, body.empty());
  if (body.empty() || finished_) return;
  Buffer bytes(loop_.blocks());
  bytes.append(body);
  chain_.data(Direction::Response, bytes, true);
}

void Stream::reset(ResetReason reason) {
  if (finished_) return;
  if (StreamSender* sender = sender_; sender != nullptr) {
    info_.wire_bytes_sent = sender->wire_bytes_sent();
    info_.wire_bytes_received = sender->wire_bytes_received();
    sender_ = nullptr;
    sender->reset(reason);
  }
  finish();
}

void Stream::on_held_too_much(Direction direction) {
  reply(direction == Direction::Request ? failures::kPayloadTooLarge : failures::kResponseTooLarge,
        {}, {});
}

void Stream::on_held_high_water(Direction direction) {
  if (direction == Direction::Request) {
    pause_request_body();
  } else {
    on_send_high_water();
  }
}

void Stream::on_held_low_water(Direction direction) {
  if (direction == Direction::Request) {
    resume_request_body();
  } else {
    on_send_low_water();
  }
}

void Stream::on_deadline(StreamDeadline which) {
  if (finished_ || restarting_) return;
  on_stream_deadline(which);
  switch (which) {
    case StreamDeadline::RequestHeaders:
      return reply(failures::kRequestHeadersTimeout, {}, {});
    case StreamDeadline::Request:
      return reply(timed_out(failures::kRequestTimeout, request_ended_), {}, {});
    case StreamDeadline::Idle:
      return reply(timed_out(failures::kStreamIdleTimeout, request_ended_), {}, {});
    case StreamDeadline::MaxDuration:
      return reply(timed_out(failures::kMaxStreamDuration, request_ended_), {}, {});
  }
}

// --------------------------------------------------------------------------------------------------------
// the end

void Stream::finish() {
  finished_ = true;
  timers_.stop();
  info_.end_us = loop_.time().now_us;
  if (sender_ != nullptr) {
    info_.wire_bytes_sent = sender_->wire_bytes_sent();
    info_.wire_bytes_received = sender_->wire_bytes_received();
    sender_ = nullptr;
  }
  if (!restarting_) chain_.notify_destroy();
  on_finished();
  // A call of a filter or of the codec may be on the stack; memory goes when the turn ends.
  loop_.at_end_of_turn(*this);
}

bool Stream::restart(Buffer& body) {
  if (finished_ || replied_ || response_started_ || !request_ended_ || !info_.tunnel.empty()) {
    return false;
  }
  restarting_ = true;
  restart_body_ = std::move(body);
  chain_.notify_destroy();
  chain_.stop(Direction::Request);
  // Who asks is on the stack, and is one of the filters.
  loop_.at_end_of_turn(*this);
  return true;
}

void Stream::begin_anew() {
  chain_.clear();
  restarting_ = false;
  on_restart(restart_body_.empty());
  info_.bytes_received += restart_body_.size();
  if (!restart_body_.empty() && !finished_) chain_.data(Direction::Request, restart_body_, true);
  restart_body_.clear();
}

void Stream::end_of_turn() {
  if (restarting_ && !finished_) return begin_anew();
  restarting_ = false;
  restart_body_.clear();
  chain_.clear();
  arena_.reset();
  on_idle();
}

}  // namespace remora::http
