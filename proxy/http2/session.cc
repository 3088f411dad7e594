// The session around nghttp2: set-up, input, output, streams' ends.
#include "proxy/http2/session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/http2/callbacks.h"
#include "proxy/http2/stream.h"

namespace remora::http2 {

using Stat = stats::Http2Stat;

namespace {

constexpr uint32_t kMaxStreamId = 0x7fffffff;
/// What tells the PING that measures a round trip from one that asks for a sign of life.
constexpr uint8_t kProbe[8] = {'w', 'i', 'n', 'd', 'o', 'w', 's', '?'};

/// What we tell the peer of ourselves.
std::vector<nghttp2_settings_entry> settings_of(Role role, const SessionOptions& options,
                                                uint32_t stream_window) {
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options.hpack_table_bytes},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, options.max_header_list_bytes},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, options.allow_connect},
  };
  for (const auto& [id, value] : options.extra_settings) settings.push_back({id, value});
  if (role == Role::Client) settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  return settings;
}

struct OptionDelete {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

std::unique_ptr<nghttp2_option, OptionDelete> library_options(const SessionOptions& options) {
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, options.flood.max_outbound_control_frames);
  nghttp2_option_set_max_deflate_dynamic_table_size(option, options.hpack_table_bytes);
  nghttp2_option_set_peer_max_concurrent_streams(option, options.first_max_streams);
  return std::unique_ptr<nghttp2_option, OptionDelete>(option);
}

SmallMemory& small(void* memory) { return *static_cast<SmallMemory*>(memory); }

/// What nghttp2 takes and gives back for each stream comes from the worker's own.
nghttp2_mem memory_of(BlockPool& blocks) {
  return {&blocks.small(), [](size_t bytes, void* memory) { return small(memory).allocate(bytes); },
          [](void* piece, void* memory) { small(memory).release(piece); },
          [](size_t count, size_t bytes, void* memory) -> void* {
            void* piece = small(memory).allocate(count * bytes);
            if (piece != nullptr) std::memset(piece, 0, count * bytes);
            return piece;
          },
          [](void* piece, size_t bytes, void* memory) {
            return small(memory).reallocate(piece, bytes);
          }};
}

}  // namespace

Session::Session(Role role, const SessionOptions& options, SessionUser& user, TimerWheel& timers,
                 BlockPool& blocks, SessionStats* stats)
    : role_(role),
      options_(options),
      user_(user),
      blocks_(blocks),
      timers_(timers),
      stats_(stats),
      guard_(options.flood),
      outbound_(options.flood),
      windows_(options.initial_stream_window, options.initial_connection_window, blocks),
      keepalive_(timers, Timer::bind<&Session::on_keepalive_timer, Session>(), this),
      last_read_(timers.now()),
      jitter_state_(static_cast<uint32_t>(reinterpret_cast<uintptr_t>(this) >> 4) ^
                    static_cast<uint32_t>(timers.now())) {
  const auto make =
      role == Role::Client ? nghttp2_session_client_new3 : nghttp2_session_server_new3;
  nghttp2_mem memory = memory_of(blocks);
  make(&session_, callbacks(), this, library_options(options).get(), &memory);
  count(role == Role::Client ? Stat::nghttp2_upstream_connections
                             : Stat::nghttp2_downstream_connections);
  submit_settings();
  alive();
}

Session::~Session() {
  stop_counting();
  nghttp2_session_del(session_);
  for (Stream* stream : streams_) blocks_.small().destroy(stream);
}

/// What gauges show of this session leaves them.
void Session::stop_counting() {
  uncount(Stat::outbound_frames_active, outbound_shown_.first);
  uncount(Stat::outbound_control_frames_active, outbound_shown_.second);
  for (Stream* stream : streams_) stream->uncount();
  stats_ = nullptr;
}

void Session::submit_settings() {
  const std::vector<nghttp2_settings_entry> settings =
      settings_of(role_, options_, windows_.stream());
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(windows_.connection()));
}

// ---------------------------------------------------------------------------------------- streams

http::StreamSender& Session::open_stream(http::StreamReceiver& response) {
  if (options_.keepalive_idle_ms > 0 && timers_.now() - last_read_ > options_.keepalive_idle_ms) {
    send_ping();
  }
  return add_stream(response);
}

template <class Whose>
Stream& Session::add_stream(Whose& whose) {
  Stream& stream = *blocks_.small().make<Stream>(*this, whose);
  stream.index_ = streams_.size();
  streams_.push_back(&stream);
  guard_.on_stream_opened();
  return stream;
}

/// From inside receive(): a client's HEADERS begin.
Stream* Session::accept_stream(int32_t id) {
  Stream& stream = add_stream(id);
  stream.receiver_ = user_.on_new_stream(stream);
  last_accepted_ = id;
  nghttp2_session_set_stream_user_data(session_, id, &stream);
  return &stream;
}

void Session::start_drain() {
  nghttp2_submit_shutdown_notice(session_);
  want_turn();
}

void Session::finish_drain() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  want_turn();
}

bool Session::can_open_stream() const {
  if (draining_ || broken_) return false;
  if (nghttp2_session_get_next_stream_id(session_) + 2 * active_streams() > kMaxStreamId) {
    return false;
  }
  const uint32_t peer_max =
      nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return active_streams() < std::min(peer_max, options_.max_concurrent_streams);
}

void Session::news(Stream& stream) {
  if (stream.HasNews::linked() || stream.receiver_ == nullptr) return;
  news_.push_back(stream);
}

void Session::unsettled(Stream& stream) {
  const bool of_interest = stream.receiver_ != nullptr || role_ == Role::Server;
  if (stream.Unsettled::linked() || !of_interest) return;
  unsettled_.push_back(stream);
}

void Session::bury(Stream& stream) {
  if (std::exchange(stream.in_dead_, true)) return;
  dead_.push_back(&stream);
  want_turn();
}

void Session::reset_after_encoding(Stream& stream) {
  resetting_.push_back(stream);
  want_turn();
}

void Session::abandon(http::ResetReason reason, std::string_view detail) {
  broken_ = abandoned_ = true;
  keepalive_.disarm();
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream& stream = *streams_[i];
    http::StreamReceiver* receiver = stream.forget_receiver();
    stream.closed_ = true;
    bury(stream);
    if (receiver != nullptr) receiver->on_reset(reason, detail);
  }
  stop_counting();
}

void Session::sweep() {
  if (dead_.empty()) return;
  const size_t ended = dead_.size();
  for (Stream* stream : dead_) {
    const size_t at = stream->index_;
    if (at + 1 != streams_.size()) {
      streams_[at] = streams_.back();
      streams_[at]->index_ = at;
    }
    streams_.pop_back();
    if (arriving_ == stream) arriving_ = nullptr;
    blocks_.small().destroy(stream);
  }
  dead_.clear();
  for (size_t i = 0; i < ended; ++i) user_.on_stream_ended();
}

// ------------------------------------------------------------------------------------------ input

bool Session::receive(Buffer& data) {
  while (!data.empty() && !broken_) {
    input_block_ = data.front_block();
    input_ = data.front();
    const ssize_t taken = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(input_.data()), input_.size());
    if (taken == NGHTTP2_ERR_FLOODED) {
      fail("http2.outbound_control_frames_flood", NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (taken < 0) {
      fail("http2.protocol_error{" + library_message_ + "}", NGHTTP2_PROTOCOL_ERROR);
    }
    data.consume(input_.size());
  }
  input_block_ = BlockRef();
  input_ = {};
  if (!broken_) alive();
  data.clear();
  want_turn();
  return !broken_;
}

void Session::fail(std::string_view detail, uint32_t error_code) {
  if (std::exchange(broken_, true)) return;
  error_ = detail;
  if (const auto counter = FloodGuard::counter_of(detail)) count(*counter);
  nghttp2_session_terminate_session(session_, error_code);
}

void Session::give_up(std::string_view detail) {
  if (broken_) return;
  fail(detail, NGHTTP2_ENHANCE_YOUR_CALM);
  error_untold_ = true;
  want_turn();
}

/// Without an error it is a server's graceful end; a client has no other reason to send one than
/// that nghttp2 found the connection broken.
void Session::on_goaway_sent(uint32_t error_code) {
  if (role_ == Role::Server && error_code == NGHTTP2_NO_ERROR) return;
  if (std::exchange(broken_, true)) return;
  error_ = "http2.protocol_error{";
  error_ += library_message_.empty() ? nghttp2_http2_strerror(error_code) : library_message_;
  error_ += "}";
  error_untold_ = true;
}

void Session::on_keepalive_timer() {
  if (broken_) return;
  if (!ping_outstanding_) return send_ping();
  count(Stat::keepalive_timeout);
  fail(kKeepaliveTimeout, NGHTTP2_NO_ERROR);
  user_.on_session_error(error_);
}

void Session::send_ping() {
  if (broken_ || std::exchange(ping_outstanding_, true)) return;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
  keepalive_.arm(options_.keepalive_timeout_ms);
  keepalive_delay_ms_ = 0;
  want_turn();
}

void Session::on_data(size_t bytes) {
  if (windows_.on_data(bytes, timers_.now())) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, kProbe);
  }
}

void Session::on_ping_answered(const uint8_t* opaque) {
  if (!std::equal(std::begin(kProbe), std::end(kProbe), opaque)) {
    ping_outstanding_ = false;
  } else if (windows_.on_round_trip(timers_.now())) {
    const nghttp2_settings_entry window{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, windows_.stream()};
    if (window.value !=
        nghttp2_session_get_local_settings(session_, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE)) {
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, &window, 1);
    }
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                          static_cast<int32_t>(windows_.connection()));
  }
}

/// Any frame proves that the peer lives: the next PING, or the end of waiting for an answer, moves.
void Session::alive() {
  last_read_ = timers_.now();
  if (ping_outstanding_) {
    keepalive_.arm(options_.keepalive_timeout_ms);
  } else if (options_.keepalive_interval_ms == 0) {
    keepalive_.disarm();
  } else {
    if (keepalive_delay_ms_ == 0) keepalive_delay_ms_ = keepalive_delay();
    keepalive_.arm(keepalive_delay_ms_);
  }
}

uint64_t Session::keepalive_delay() {
  constexpr uint32_t kMultiplier = 48271;  // a minimal standard generator is random enough
  jitter_state_ = jitter_state_ * kMultiplier + 1;
  const double share = (jitter_state_ >> 8) / static_cast<double>(1 << 24);
  const double jitter = options_.keepalive_jitter_percent / 100 * share;
  return options_.keepalive_interval_ms +
         static_cast<uint64_t>(jitter * static_cast<double>(options_.keepalive_interval_ms));
}

// -------------------------------------------------------------------------------------- turn's end

namespace {

/// Calls f(stream) for each that is in the list now; who enters it meanwhile waits for the next
/// time.
template <class Link, class F>
void for_each(IntrusiveList<Stream, Link>& list, F f) {
  IntrusiveList<Stream, Link> batch;
  batch.take_all(list);
  while (!batch.empty()) {
    Stream& stream = batch.front();
    static_cast<Link&>(stream).unlink();
    f(stream);
  }
}

}  // namespace

void Session::turn(Buffer& out, size_t max_bytes) {
  tell_user();
  release_heads();
  deliver_all();
  encode(out, max_bytes);
  if (!resetting_.empty()) {
    submit_resets();
    encode(out, max_bytes);
  }
  settle();
  deliver_all();  // streams that encoding closed
  sweep();
  if (!news_.empty()) want_turn();
  if (std::exchange(error_untold_, false)) user_.on_session_error(error_);
}

void Session::release_heads() {
  if (!peer_settings_came_ || waiting_for_settings_.empty()) return;
  for_each(waiting_for_settings_, [](Stream& stream) {
    if (!stream.closed_) stream.submit_held_head();
  });
}

void Session::tell_user() {
  if (const auto max = std::exchange(max_streams_changed_, std::nullopt))
    user_.on_max_streams(*max);
  if (draining_ && !std::exchange(goaway_told_, true)) user_.on_goaway();
}

void Session::deliver_all() {
  for_each(news_, [](Stream& stream) {
    if (stream.receiver_ != nullptr) stream.deliver();
  });
}

void Session::encode(Buffer& out, size_t max_bytes) {
  if (abandoned_) return;
  const size_t before = out.size();
  out_ = &out;
  out_max_bytes_ = max_bytes;
  while (out.size() < max_bytes) {
    const uint8_t* frames = nullptr;
    const ssize_t bytes = nghttp2_session_mem_send(session_, &frames);
    if (bytes <= 0) break;
    out.append({reinterpret_cast<const char*>(frames), static_cast<size_t>(bytes)});
  }
  out_ = nullptr;
  account(out.size() - before, out.size());
}

void Session::account(size_t appended, size_t waiting) {
  uncount(Stat::outbound_frames_active, outbound_shown_.first);
  uncount(Stat::outbound_control_frames_active, outbound_shown_.second);
  outbound_.on_turn(appended, waiting);
  outbound_shown_ = {outbound_.frames(), outbound_.control_frames()};
  count(Stat::outbound_frames_active, outbound_shown_.first);
  count(Stat::outbound_control_frames_active, outbound_shown_.second);
  if (broken_) return;
  const auto flood = outbound_.flood(nghttp2_session_get_outbound_queue_size(session_));
  if (flood.empty()) return;
  fail(flood, NGHTTP2_ENHANCE_YOUR_CALM);
  error_untold_ = true;
}

void Session::submit_resets() {
  for_each(resetting_, [this](Stream& stream) {
    if (stream.closed_) return;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, stream.reset_code_);
  });
}

void Session::settle() {
  for_each(unsettled_, [](Stream& stream) { stream.check_water_marks(); });
}

}  // namespace remora::http2
