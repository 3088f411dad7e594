// The reading half of the client side, in the order in which a response arrives. The connection's
// worker only.
#include "proxy/http1/client_codec.h"

#include <utility>

#include "proxy/http/upgrade.h"
#include "proxy/http1/hop_by_hop.h"

namespace remora::http1 {
namespace {

using http::HeaderId;
using http::Protocol;
using http::ResetReason;

std::string_view reset_detail(ResetReason reason, bool response_started) {
  const bool protocol_error =
      reason == ResetReason::ProtocolError || reason == ResetReason::IncompleteBody;
  if (response_started) {
    return protocol_error ? "upstream_reset_after_response_started{protocol_error}"
                          : "upstream_reset_after_response_started{connection_termination}";
  }
  return protocol_error ? "upstream_reset_before_response_started{protocol_error}"
                        : "upstream_reset_before_response_started{connection_termination}";
}

}  // namespace

// Part of what an idle connection costs.
static_assert(sizeof(ClientCodec) >= 256 && sizeof(ClientCodec) <= 640);

ClientCodec::ClientCodec(Connection& connection, http::ClientCodecHandler& handler,
                         const ClientOptions& options, KeepAliveListener* keep_alive)
    : connection_(connection),
      handler_(handler),
      keep_alive_(keep_alive),
      options_(options),
      parser_(HeadParser::Kind::Response, options.limits),
      scratch_(connection.loop().blocks()),
      held_(connection.loop().blocks()) {
  // The longest line waits in the read buffer until it is whole.
  connection.set_min_read_limit(options.limits.max_bytes + Block::kBytes);
}

http::StreamSender& ClientCodec::new_stream(http::StreamReceiver& response) {
  receiver_ = &response;
  headers_ = nullptr;
  reading_ = Reading::NotBegun;
  writing_ = Writing::NotBegun;
  head_request_ = connect_request_ = response_started_ = held_end_ = was_tunnel_ = false;
  asked_upgrade_ = {};
  pauses_ = informational_responses_ = 0;
  informational_bytes_ = request_left_ = sent_bytes_ = received_bytes_ = 0;
  return *this;
}

bool ClientCodec::dispatch(Buffer& data, bool end_stream) {
  if (end_stream) peer_ended_ = true;
  input_ = &data;
  while (receiver_ != nullptr && read_some(data) == Step::Again) {
  }
  if (peer_ended_ && receiver_ != nullptr) end_of_input(data);
  input_ = nullptr;
  const bool over =
      receiver_ == nullptr || (reading_ == Reading::Complete && writing_ != Writing::Tunnel);
  if (!over) return true;
  // Bytes that nobody asked for, a request that the server did not wait for, the end: all the same.
  if (!data.empty() || receiver_ != nullptr || peer_ended_) drain();
  return !draining_;
}

ClientCodec::Step ClientCodec::read_some(Buffer& data) {
  switch (reading_) {
    case Reading::NotBegun:
      return begin_head(data);
    case Reading::Head:
      return read_head(data);
    case Reading::Body:
      return read_body(data);
    case Reading::Trailers:
      return read_trailers(data);
    case Reading::Tunnel:
      return read_tunnel(data);
    case Reading::Complete:
      break;
  }
  return Step::Wait;
}

ClientCodec::Step ClientCodec::begin_head(Buffer& data) {
  if (data.empty()) return Step::Wait;
  if (writing_ == Writing::NotBegun) return refuse(details::kCodecError);  // an answer to nothing
  reading_ = Reading::Head;
  Arena& arena = receiver_->arena();
  headers_ = arena.make<http::HeaderMap>(arena);
  if (options_.names.remember) {
    headers_->set_spelling(arena.make<http::HeaderSpelling>(arena, options_.names));
  }
  parser_.start(*headers_);
  return Step::Again;
}

ClientCodec::Step ClientCodec::read_head(Buffer& data) {
  const HeadParser::Status status = parser_.parse(data);
  if (status == HeadParser::Status::NeedMore) return Step::Wait;
  if (status == HeadParser::Status::Error) return refuse(parser_.error().detail);
  received_bytes_ += parser_.head_bytes();
  const HeadFacts& facts = parser_.facts();
  if (facts.status == 101) return accept_tunnel();
  if (facts.status < 200) return accept_informational();
  if (connect_request_ && facts.status < 300) return accept_tunnel();
  return accept_final();
}

ClientCodec::Step ClientCodec::accept_informational() {
  const HeadFacts& facts = parser_.facts();
  informational_bytes_ += parser_.head_bytes();
  if (++informational_responses_ > kMaxInformationalResponses ||
      informational_bytes_ > options_.limits.max_bytes) {
    return refuse(details::kCodecError);
  }
  if (facts.transfer_encodings > 0) return refuse(details::kTransferEncodingNotAllowed);
  if (facts.length > 0) return refuse(details::kContentLengthNotAllowed);
  reading_ = Reading::NotBegun;
  remove_hop_by_hop(*headers_);
  headers_->remove(HeaderId::ContentLength);
  receiver_->on_informational(*headers_);
  return Step::Again;
}

/// 101, or 2xx to CONNECT: only to who asked, and for what was asked.
ClientCodec::Step ClientCodec::accept_tunnel() {
  const HeadFacts& facts = parser_.facts();
  if (facts.status == 101) {
    if (asked_upgrade_.empty() || headers_->count(HeaderId::Upgrade) != 1 ||
        !http::same_protocol(headers_->get(HeaderId::Upgrade), asked_upgrade_)) {
      return refuse(details::kCodecError);
    }
    if (facts.transfer_encodings > 0) return refuse(details::kTransferEncodingNotAllowed);
    if (facts.length > 0) return refuse(details::kContentLengthNotAllowed);
    keep_only_upgrade(*headers_);
  } else {
    remove_hop_by_hop(
        *headers_);  // RFC 9110 section 9.3.6: whatever it says of a body has no meaning
  }
  headers_->remove(HeaderId::ContentLength);
  reading_ = Reading::Tunnel;
  was_tunnel_ = true;
  response_started_ = true;
  if (writing_ == Writing::AwaitTunnel) {
    writing_ = Writing::Tunnel;
    sent_bytes_ += held_.size();
    connection_.write(held_, held_end_);
    if (held_end_) writing_ = Writing::Ended;
  }
  receiver_->on_headers(*headers_, false);
  return Step::Again;
}

ClientCodec::Step ClientCodec::accept_final() {
  const HeadFacts& facts = parser_.facts();
  const BodyFraming body = response_body(facts, head_request_);
  if (!body.ok()) return refuse(body.error.detail);
  const bool keeps_alive = facts.version == Protocol::Http11 || facts.keep_alive;
  const bool doubtful =
      facts.version == Protocol::Http10 && facts.transfer_encodings > 0;  // RFC 9112 section 6.1
  if (facts.close || !keeps_alive || doubtful || body.kind == BodyKind::UntilClose) drain();
  // A server that answers before it has the request may read the rest as something else.
  if (writing_ != Writing::Ended) drain();
  held_.clear();
  if (held_end_) writing_ = Writing::Ended;
  if (keep_alive_ != nullptr && headers_->has(HeaderId::KeepAlive)) {
    keep_alive_->on_keep_alive(headers_->get(HeaderId::KeepAlive));
  }
  remove_hop_by_hop(*headers_);
  if (facts.status == 204) headers_->remove(HeaderId::ContentLength);

  const bool ends = body.kind == BodyKind::None;
  body_.start(body);
  reading_ = ends ? Reading::Complete : Reading::Body;
  response_started_ = true;
  receiver_->on_headers(*headers_, ends);
  if (ends) end_stream_when_done();
  return Step::Again;
}

void ClientCodec::deliver(Buffer& data, bool end_stream) {
  if (receiver_ != nullptr) receiver_->on_data(data, end_stream);
  data.clear();
}

ClientCodec::Step ClientCodec::read_body(Buffer& data) {
  if (pauses_ > 0 || data.empty()) return Step::Wait;
  const size_t before = data.size();
  const BodyReader::Status status = body_.read(data, scratch_);
  received_bytes_ += before - data.size();
  if (status == BodyReader::Status::Ended) {
    reading_ = Reading::Complete;
    deliver(scratch_, true);
    end_stream_when_done();
    return Step::Again;
  }
  if (status == BodyReader::Status::Trailers) {
    reading_ = Reading::Trailers;
    Arena& arena = receiver_->arena();
    headers_ = arena.make<http::HeaderMap>(arena);
    parser_.start_trailers(*headers_);
  }
  if (!scratch_.empty()) deliver(scratch_, false);
  if (status == BodyReader::Status::Error && receiver_ != nullptr) {
    return refuse(details::kCodecError);
  }
  return Step::Again;
}

ClientCodec::Step ClientCodec::read_trailers(Buffer& data) {
  if (pauses_ > 0) return Step::Wait;
  const HeadParser::Status status = parser_.parse(data);
  if (status == HeadParser::Status::NeedMore) return Step::Wait;
  if (status == HeadParser::Status::Error) return refuse(parser_.error().detail);
  received_bytes_ += parser_.head_bytes();
  reading_ = Reading::Complete;
  if (options_.enable_trailers && headers_->live_count() > 0) {
    receiver_->on_trailers(*headers_);
  } else {
    deliver(scratch_, true);
  }
  end_stream_when_done();
  return Step::Again;
}

ClientCodec::Step ClientCodec::read_tunnel(Buffer& data) {
  if (pauses_ > 0 || data.empty()) return Step::Wait;
  received_bytes_ += data.size();
  scratch_.append(data, data.size());
  deliver(scratch_, false);
  return Step::Again;
}

ClientCodec::Step ClientCodec::refuse(std::string_view detail) {
  drain();
  handler_.on_codec_error(detail);
  fail_stream(ResetReason::ProtocolError);
  return Step::Again;
}

void ClientCodec::fail_stream(ResetReason reason) {
  http::StreamReceiver* receiver = std::exchange(receiver_, nullptr);
  if (receiver == nullptr) return;
  drain();
  handler_.on_stream_failed(reason);
  receiver->on_reset(reason, reset_detail(reason, response_started_));
  handler_.on_stream_ended();
}

/// The server will send no more; `data` is what could not be delivered yet.
void ClientCodec::end_of_input(const Buffer& data) {
  if (!data.empty() && pauses_ > 0) return;  // read first
  drain();
  switch (reading_) {
    case Reading::NotBegun:
      fail_stream(ResetReason::ConnectionClosed);
      return;
    case Reading::Head:
      fail_stream(ResetReason::ProtocolError);
      return;
    case Reading::Body:
      if (!body_.until_close()) {
        fail_stream(ResetReason::IncompleteBody);
        return;
      }
      [[fallthrough]];
    case Reading::Tunnel:
      reading_ = Reading::Complete;
      deliver(scratch_, true);
      end_stream_when_done();
      return;
    case Reading::Trailers:
      fail_stream(ResetReason::IncompleteBody);
      return;
    case Reading::Complete:
      return;
  }
}

/// Both directions must have ended before the next stream may come.
void ClientCodec::end_stream_when_done() {
  if (receiver_ == nullptr) return;
  if (reading_ != Reading::Complete || writing_ != Writing::Ended) return;
  // Whatever else has come is no answer to the next request.
  if (was_tunnel_ || peer_ended_ || (input_ != nullptr && !input_->empty())) drain();
  release_stream();
  if (was_tunnel_) connection_.close(CloseHow::FlushAndWait);
}

void ClientCodec::release_stream() {
  receiver_ = nullptr;
  headers_ = nullptr;
  held_.clear();
  if (pauses_ > 0) {
    pauses_ = 0;
    connection_.resume_reading(kPauseByPeerBuffer);
  }
  handler_.on_stream_ended();
}

void ClientCodec::drain() {
  if (draining_) return;
  draining_ = true;
  handler_.on_codec_draining();
}

void ClientCodec::on_write_high_water() {
  if (receiver_ != nullptr) receiver_->on_send_high_water();
}

void ClientCodec::on_write_low_water() {
  if (receiver_ != nullptr) receiver_->on_send_low_water();
}

void ClientCodec::on_connection_closed(ResetReason reason, std::string_view detail) {
  http::StreamReceiver* receiver = std::exchange(receiver_, nullptr);
  drain();
  if (receiver == nullptr) return;
  receiver->on_reset(reason, detail.empty() ? reset_detail(reason, response_started_) : detail);
  handler_.on_stream_ended();
}

}  // namespace remora::http1
