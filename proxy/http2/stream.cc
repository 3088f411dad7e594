// Sending into nghttp2, and handing what came to the receiver.
#include "proxy/http2/stream.h"

#include <absl/container/inlined_vector.h>
#include <nghttp2/nghttp2.h>

#include "proxy/http/upgrade.h"
#include "proxy/http2/callbacks.h"
#include "proxy/http2/request_head.h"
#include "proxy/http2/session.h"

namespace remora::http2 {

/// A header block as nghttp2 wants it: views.
struct FieldList : absl::InlinedVector<nghttp2_nv, 48> {};

namespace {

using http::HeaderEntry;
using http::HeaderId;
using http::ResetReason;
using Stat = stats::Http2Stat;

constexpr uint16_t kMaxInformational = 100;  // 1xx before one response
constexpr uint16_t kSwitchingProtocols = 101;
constexpr size_t kMaxFieldNameBytes = 255;  // as with HTTP/1

nghttp2_nv field(std::string_view name, std::string_view value) {
  auto* n = reinterpret_cast<uint8_t*>(const_cast<char*>(name.data()));
  auto* v = reinterpret_cast<uint8_t*>(const_cast<char*>(value.data()));
  return {n, v, name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

/// Whether no other request has the same value: in HPACK's table it would only take the room of one
/// that comes again.
bool is_unique(HeaderId id) {
  return id == HeaderId::XRequestId || id == HeaderId::Traceparent || id == HeaderId::XB3TraceId;
}

/// A well-known name needs no copy: it lives for ever and is in lower case.
nghttp2_nv field(const HeaderEntry& entry, std::string_view value) {
  if (entry.id == HeaderId::Other) return field(entry.name, value);
  nghttp2_nv result = field(http::header_name(entry.id), value);
  result.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
  if (is_unique(entry.id)) result.flags |= NGHTTP2_NV_FLAG_NO_INDEX;
  return result;
}

/// Fields that belong to an HTTP/1 connection and must not go into HTTP/2 (RFC 9113 section 8.2.2).
bool connection_specific(const HeaderEntry& entry) {
  switch (entry.id) {
    case HeaderId::Connection:
    case HeaderId::KeepAlive:
    case HeaderId::ProxyConnection:
    case HeaderId::TransferEncoding:
    case HeaderId::Upgrade:
    case HeaderId::Http2Settings:
    case HeaderId::Host:
      return true;
    case HeaderId::Te:
      return entry.value != "trailers";
    default:
      return false;
  }
}

/// A pseudo-header in the words of HTTP/2, which has no upgrades.
void add_pseudo(const HeaderEntry& entry, TunnelKind tunnel, FieldList& fields) {
  const bool of_connect = tunnel == TunnelKind::Connect;
  const bool extended = tunnel == TunnelKind::Extended;
  if (of_connect && (entry.id == HeaderId::Path || entry.id == HeaderId::Scheme)) return;
  std::string_view value = entry.value;
  if (extended && entry.id == HeaderId::Method) value = http::kConnect;
  if (extended && entry.id == HeaderId::Status && value == "101") value = "200";
  fields.push_back(field(entry, value));
}

/// Pseudo-headers first, as HTTP/2 wants them.
FieldList encodable(const http::HeaderMap& headers, TunnelKind tunnel = TunnelKind::None) {
  FieldList fields;
  for (const HeaderEntry& entry : headers.entries()) {
    if (!entry.removed && is_pseudo(entry.id)) add_pseudo(entry, tunnel, fields);
  }
  if (tunnel == TunnelKind::Extended && headers.has(HeaderId::Method)) {
    fields.push_back(field(":protocol", headers.get(HeaderId::Upgrade)));
  }
  for (const HeaderEntry& entry : headers.entries()) {
    if (entry.removed || is_pseudo(entry.id) || connection_specific(entry)) continue;
    fields.push_back(field(entry, entry.value));
  }
  return fields;
}

/// What a peer is told: a client that gives up cancels, a server that gives up has failed.
uint32_t error_code_of(ResetReason reason, Role role) {
  switch (reason) {
    case ResetReason::ProtocolError:
    case ResetReason::IncompleteBody:
      return NGHTTP2_PROTOCOL_ERROR;
    case ResetReason::RemoteRefused:
      return NGHTTP2_REFUSED_STREAM;
    default:
      return role == Role::Client ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR;
  }
}

}  // namespace

Stream::Stream(Session& session, http::StreamReceiver& receiver)
    : session_(session),
      receiver_(&receiver),
      received_(session.blocks_),
      pending_(session.blocks_) {
  session_.count(Stat::streams_active);
}

Stream::~Stream() { uncount(); }

void Stream::uncount() {
  session_.uncount(Stat::streams_active);
  session_.uncount(Stat::pending_send_bytes, pending_.size());
}

Stream::Stream(Session& session, int32_t id)
    : session_(session),
      receiver_(nullptr),
      id_(id),
      received_(session.blocks_),
      pending_(session.blocks_) {
  session_.count(Stat::streams_active);
}

// ---------------------------------------------------------------------------------------- sending

void Stream::send_informational(const http::HeaderMap& headers) {
  const FieldList fields = encodable(headers);
  nghttp2_submit_headers(session_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(),
                         fields.size(), nullptr);
  session_.want_turn();
}

void Stream::send_headers(const http::HeaderMap& headers, bool end_stream) {
  if (session_.role_ == Role::Client) return send_request(headers, end_stream);
  const uint16_t status = headers.status();
  const bool opens = tunnel_kind_ == TunnelKind::Extended ? status == kSwitchingProtocols
                                                          : opens_tunnel(tunnel_kind_, status);
  if (opens && !end_stream) tunnel_ = Tunnel::Open;
  const FieldList fields = encodable(headers, tunnel_kind_);
  nghttp2_data_provider body = body_of(*this);
  nghttp2_submit_response(session_.session_, id_, fields.data(), fields.size(),
                          end_stream ? nullptr : &body);
  session_.want_turn();
  if (end_stream) end_of_message();
}

void Stream::send_request(const http::HeaderMap& headers, bool end_stream) {
  if (!end_stream || headers.method() == http::kConnect) tunnel_kind_ = tunnel_kind_of(headers);
  if (tunnel_kind_ != TunnelKind::None) tunnel_ = Tunnel::Asked;
  const FieldList fields = encodable(headers, tunnel_kind_);
  if (tunnel_kind_ != TunnelKind::Extended) return submit_request(fields, end_stream);
  protocol_ = headers.get(HeaderId::Upgrade);
  if (session_.peer_settings_came_) return submit_extended(fields);
  for (const nghttp2_nv& nv : fields) {
    held_head_.emplace_back(std::string(reinterpret_cast<const char*>(nv.name), nv.namelen),
                            std::string(reinterpret_cast<const char*>(nv.value), nv.valuelen));
  }
  session_.waiting_for_settings_.push_back(*this);
}

void Stream::submit_held_head() {
  FieldList fields;
  for (const auto& [name, value] : held_head_) fields.push_back(field(name, value));
  submit_extended(fields);
  held_head_.clear();
}

/// RFC 8441 section 3: only to a peer that has said that it knows such requests.
void Stream::submit_extended(const FieldList& fields) {
  const bool allowed = nghttp2_session_get_remote_settings(
                           session_.session_, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
  if (allowed) return submit_request(fields, false);
  closed_ = true;
  detail_ = "http2.extended_connect_not_enabled";
  session_.news(*this);
  session_.want_turn();
}

void Stream::submit_request(const FieldList& fields, bool end_stream) {
  nghttp2_data_provider body = body_of(*this);
  const int32_t id = nghttp2_submit_request(session_.session_, nullptr, fields.data(),
                                            fields.size(), end_stream ? nullptr : &body, this);
  if (id > 0) {
    id_ = id;
  } else {  // no stream ids left: can_open_stream() is false from now on
    closed_ = true;
    close_code_ = NGHTTP2_REFUSED_STREAM;
    session_.news(*this);
  }
  session_.want_turn();
}

void Stream::send_data(Buffer& data, bool end_stream) {
  if (tunnel_ == Tunnel::Refused) data.clear();  // it was for the tunnel
  session_.count(Stat::pending_send_bytes, data.size());
  pending_.append(std::move(data));
  if (end_stream) end_after_pending_ = true;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_.session_, id_);
  session_.unsettled(*this);
  session_.want_turn();
  if (end_stream) end_of_message();
}

void Stream::send_trailers(const http::HeaderMap& trailers) {
  for (const HeaderEntry& entry : trailers.entries()) {
    if (entry.removed || is_pseudo(entry.id) || connection_specific(entry)) continue;
    send_trailers_.emplace_back(entry.name, entry.value);
  }
  end_after_pending_ = true;
  if (std::exchange(deferred_, false)) nghttp2_session_resume_data(session_.session_, id_);
  session_.want_turn();
  end_of_message();
}

/// A server's user has said the last word; what the client still sends is dropped.
void Stream::end_of_message() {
  if (session_.role_ == Role::Client) return;
  if (in_open_tunnel() && !end_delivered_) return session_.unsettled(*this);
  detach();
  session_.unsettled(*this);
}

bool Stream::both_said() const {
  return session_.role_ == Role::Server && in_open_tunnel() && end_after_pending_;
}

void Stream::reset(ResetReason reason) {
  if (!closed_) {
    reset_code_ = error_code_of(reason, session_.role_);
    if (id_ == 0) {
      closed_ = true;
    } else if (session_.role_ == Role::Server) {
      session_.reset_after_encoding(*this);  // what was answered so far is still worth having
    } else {
      nghttp2_submit_rst_stream(session_.session_, NGHTTP2_FLAG_NONE, id_, reset_code_);
      session_.want_turn();
    }
  }
  detach();
}

void Stream::check_water_marks() {
  if (receiver_ == nullptr) return watch_flush();
  const uint32_t high = session_.options_.stream_send_high_water;
  if (!over_high_water_ && pending_.size() > high) {
    over_high_water_ = true;
    receiver_->on_send_high_water();
  } else if (over_high_water_ && pending_.size() <= high / 2) {
    over_high_water_ = false;
    receiver_->on_send_low_water();
  }
}

/// The user is gone and so are its timers: a client that does not read must not keep the rest.
void Stream::watch_flush() {
  const uint64_t timeout_ms = session_.options_.stream_flush_timeout_ms;
  if (closed_ || local_ended_ || timeout_ms == 0) return;
  if (flush_timer_ == nullptr) {
    flush_timer_ = std::make_unique<Timer>(session_.timers_,
                                           Timer::bind<&Stream::on_flush_timeout, Stream>(), this);
  }
  flush_timer_->arm(timeout_ms);
}

void Stream::on_flush_timeout() {
  if (!closed_ && !local_ended_) reset(ResetReason::LocalReset);
}

// -------------------------------------------------------------------------------------- receiving

bool Stream::add_header(std::string_view name, std::string_view value) {
  if (name.size() > kMaxFieldNameBytes) {
    detail_ = "http2.invalid.header.field";
    return false;
  }
  const SessionOptions& options = session_.options_;
  header_list_bytes_ += name.size() + value.size() + 32;
  if (header_list_bytes_ > options.max_header_list_bytes || ++header_count_ > options.max_headers) {
    detail_ = "http2.too_many_headers";
    too_large_ = session_.role_ == Role::Client;
    session_.count(Stat::header_overflow);
    return false;
  }
  Arena& arena = arriving_->arena();
  const HeaderId id = http::header_id_of(name);
  if (id != HeaderId::Other) {
    arriving_->add(id, arena.copy(value));
  } else {
    arriving_->push(id, arena.copy(name), arena.copy(value));
  }
  return true;
}

bool Stream::headers_complete() {
  http::HeaderMap& block = *std::exchange(arriving_, nullptr);
  if (!http::apply_underscores(session_.options_.underscores, block)) {
    detail_ = "http2.unexpected_underscore";
    return false;
  }
  if (headers_ != nullptr) {
    trailers_ = &block;
  } else if (session_.role_ == Role::Server) {
    if (!request_complete(block)) return false;
    headers_ = &block;
  } else if (block.status() >= 100 && block.status() < 200) {
    if (++informational_count_ > kMaxInformational) {
      detail_ = "http2.too_many_informational";
      return false;
    }
    informational_.push_back(&block);
  } else {
    headers_ = &block;
  }
  return true;
}

/// What nghttp2 has not checked of a request.
bool Stream::request_complete(http::HeaderMap& block) {
  detail_ = complete_request_head(block);
  if (!detail_.empty()) return false;
  tunnel_kind_ = read_tunnel_request(block);
  return true;
}

void Stream::resume_receiving() {
  if (--receive_pauses_ > 0) return;
  session_.news(*this);
  session_.want_turn();
}

void Stream::deliver() {
  // A request that is broken by now is not begun.
  if (session_.role_ == Role::Server && closed_ && !headers_delivered_) return deliver_close();
  for (size_t i = 0; i < informational_.size() && !delivery_stopped(); ++i) {
    receiver_->on_informational(*informational_[i]);
  }
  if (!delivery_stopped()) informational_.clear();
  if (headers_ != nullptr && !headers_delivered_ && !delivery_stopped()) {
    headers_delivered_ = true;
    // An end in a frame of its own is passed on as one: to gRPC the two are not the same.
    end_delivered_ = headers_ended_;
    if (tunnel_ == Tunnel::Asked) settle_tunnel();
    receiver_->on_headers(*headers_, end_delivered_);
  }
  if (headers_delivered_ && !end_delivered_) deliver_body();
  if (receiver_ != nullptr) hold();
  if (receiver_ != nullptr && closed_) deliver_close();
}

/// The answer to a client's request for a tunnel has come.
void Stream::settle_tunnel() {
  const bool opens = opens_tunnel(tunnel_kind_, headers_->status()) && !end_delivered_;
  tunnel_ = opens ? Tunnel::Open : Tunnel::Refused;
  if (!opens) {
    session_.uncount(Stat::pending_send_bytes, pending_.size());
    pending_.clear();
  }
  if (opens && tunnel_kind_ == TunnelKind::Extended) read_tunnel_answer(*headers_, protocol_);
  if ((opens || end_after_pending_) && std::exchange(deferred_, false)) {
    nghttp2_session_resume_data(session_.session_, id_);
  }
  session_.unsettled(*this);
  session_.want_turn();
}

void Stream::deliver_body() {
  if (delivery_stopped()) return;
  const bool last = remote_ended_ && trailers_ == nullptr;
  if (!received_.empty() || last) {
    // Out of the stream's hands: should the receiver reset it, what it was just given stays whole.
    Buffer data = std::move(received_);
    const size_t before = data.size();
    end_delivered_ = last;
    receiver_->on_data(data, last);
    if (receiver_ == nullptr || last) data.clear();
    consumed(before - data.size());
    if (receiver_ == nullptr) return;
    received_ = std::move(data);
    if (last && both_said()) return detach();
  }
  if (trailers_ != nullptr && !end_delivered_ && received_.empty() && !delivery_stopped()) {
    end_delivered_ = true;
    receiver_->on_trailers(*trailers_);
    if (receiver_ != nullptr && both_said()) detach();
  }
}

void Stream::deliver_close() {
  // Paused: the rest comes first. A client that resets wants nothing any more.
  const bool unwanted = remote_reset_ && session_.role_ == Role::Server;
  if (remote_ended_ && !end_delivered_ && !unwanted) return;
  http::StreamReceiver& receiver = *receiver_;
  detach();
  if (remote_ended_ && local_ended_) return;
  if (close_code_ == NGHTTP2_REFUSED_STREAM) {
    receiver.on_reset(ResetReason::RemoteRefused, "http2.remote_refuse");
    return;
  }
  // As Envoy has it, a response's headers over a limit are no breach of the protocol.
  const ResetReason reason =
      remote_reset_ || too_large_ ? ResetReason::RemoteReset : ResetReason::ProtocolError;
  if (!end_delivered_) session_.user_.on_stream_failed(reason);
  if (remote_reset_) {
    receiver.on_reset(reason, "http2.remote_reset");
  } else {
    receiver.on_reset(reason, detail_.empty() ? "http2.violation.of.messaging.rule" : detail_);
  }
}

http::StreamReceiver* Stream::forget_receiver() {
  arriving_ = headers_ = trailers_ = nullptr;
  informational_.clear();
  return std::exchange(receiver_, nullptr);
}

void Stream::detach() {
  forget_receiver();
  if (const size_t left = received_.size()) {
    received_.clear();
    consumed(left);
  }
  if (closed_) session_.bury(*this);
}

void Stream::consumed(size_t bytes) {
  if (bytes == 0) return;
  const size_t held = std::min(bytes, held_);
  if (held == 0) {
    nghttp2_session_consume(session_.session_, id_, bytes);
  } else {
    held_ -= held;
    session_.windows_.release(held);
    nghttp2_session_consume_stream(session_.session_, id_, bytes);
    nghttp2_session_consume_connection(session_.session_, bytes - held);
  }
  session_.want_turn();
}

/// The user does not read: what waits for it must not stop the connection's other streams.
void Stream::hold() {
  const size_t waiting = received_.size() - held_;
  if (waiting == 0) return;
  const size_t more = session_.windows_.hold(waiting);
  if (more == 0) return;
  held_ += more;
  nghttp2_session_consume_connection(session_.session_, more);
  session_.want_turn();
}

}  // namespace remora::http2
