// The reading half of the server side, in the order in which a request arrives. The connection's
// worker only.
#include "proxy/http1/server_codec.h"

#include <algorithm>
#include <utility>

#include "proxy/http/target.h"
#include "proxy/http/upgrade.h"
#include "proxy/http1/request_target.h"
#include "proxy/http1/scan.h"

namespace remora::http1 {
namespace {

using http::HeaderId;
using http::Protocol;
using http::ResetReason;

constexpr std::string_view kDisconnectDetail = "downstream_remote_disconnect";

/// One protocol, with or without a version: no list of them.
bool is_protocol(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '/' || token_lower(c) != 0; });
}

}  // namespace

// Part of what an idle connection costs.
static_assert(sizeof(ServerCodec) >= 256 && sizeof(ServerCodec) <= 640);

ServerCodec::ServerCodec(Connection& connection, http::ServerCodecHandler& handler,
                         const Options& options)
    : connection_(connection),
      handler_(handler),
      options_(options),
      parser_(HeadParser::Kind::Request, options.limits),
      scratch_(connection.loop().blocks()) {
  // The longest line waits in the read buffer until it is whole.
  connection.set_min_read_limit(options.limits.max_bytes + Block::kBytes);
}

bool ServerCodec::dispatch(Buffer& data, bool end_stream) {
  if (end_stream) peer_ended_ = true;
  while (read_some(data) == Step::Again) {
  }
  const bool request_waits = reading_ == Reading::Complete || reading_ == Reading::Undecided;
  if (request_waits && !data.empty()) wait_for_room();
  // What is held back is still to be read.
  const bool held_back = !data.empty() && (request_waits || waiting_ || pauses_ > 0);
  if (peer_ended_ && !held_back) on_peer_end();
  return receiver_ != nullptr || !close_after_;
}

ServerCodec::Step ServerCodec::read_some(Buffer& data) {
  switch (reading_) {
    case Reading::Idle:
      return begin_request(data);
    case Reading::Head:
      return read_head(data);
    case Reading::Body:
      return read_body(data);
    case Reading::Trailers:
      return read_trailers(data);
    case Reading::Tunnel:
      return read_tunnel(data);
    case Reading::Discard:
      data.clear();
      return Step::Wait;
    case Reading::Undecided:
    case Reading::Complete:
      break;
  }
  return Step::Wait;
}

/// Requests that cannot be looked at yet stay where they are, and no more are read.
void ServerCodec::wait_for_room() {
  if (waiting_) return;
  waiting_ = true;
  connection_.pause_reading(kPauseByCodec);
}

ServerCodec::Step ServerCodec::begin_request(Buffer& data) {
  if (connection_.closing()) {
    reading_ = Reading::Discard;  // closed from above while requests were waiting
    return Step::Again;
  }
  // RFC 9112 section 2.2: blank lines in front of a request line are skipped.
  char two[2];
  while (data.size() >= 2) {
    data.copy_out(0, 2, two);
    if (two[0] != '\r' || two[1] != '\n') break;
    data.consume(2);
  }
  if (data.empty() || (data.size() == 1 && data.front()[0] == '\r')) return Step::Wait;
  if (above_high_water_) {
    wait_for_room();  // the client does not take the answers to what it asked before
    return Step::Wait;
  }
  reading_ = Reading::Head;
  writing_ = Writing::NotBegun;
  version_ = Protocol::Http11;
  head_request_ = connect_request_ = upgrade_request_ = client_closes_ = false;
  pauses_ = 0;
  response_left_ = sent_bytes_ = received_bytes_ = 0;
  receiver_ = &handler_.on_new_stream(*this);
  Arena& arena = receiver_->arena();
  headers_ = arena.make<http::HeaderMap>(arena);
  if (options_.names.remember) {
    headers_->set_spelling(arena.make<http::HeaderSpelling>(arena, options_.names));
  }
  parser_.start(*headers_);
  return Step::Again;
}

ServerCodec::Step ServerCodec::read_head(Buffer& data) {
  const HeadParser::Status status = parser_.parse(data);
  if (status == HeadParser::Status::NeedMore) return Step::Wait;
  if (status == HeadParser::Status::Error) return refuse(parser_.error());
  received_bytes_ += parser_.head_bytes();
  return accept_head();
}

/// False: a name has an underscore, and the request shall be refused for it.
bool ServerCodec::accept_names() {
  if (options_.underscores == http::Underscores::Allow) return true;
  const std::optional<size_t> dropped = http::apply_underscores(options_.underscores, *headers_);
  if (!dropped) return false;
  if (*dropped > 0) handler_.on_fields_dropped(*dropped);
  return true;
}

/// Refuses what cannot be served, then hands the request up.
ServerCodec::Step ServerCodec::accept_head() {
  const HeadFacts& facts = parser_.facts();
  const std::string_view method = headers_->method();
  head_request_ = method == "HEAD";
  connect_request_ = method == "CONNECT";
  const BodyFraming body = request_body(facts, connect_request_);
  if (!body.ok()) return refuse(body.error);
  if (facts.version == Protocol::Http10) {
    if (!options_.accept_http_10) return refuse({426, details::kLowVersion});
    version_ = Protocol::Http10;
  }
  if (!accept_names()) return refuse({400, details::kUnexpectedUnderscore});
  if (!facts.known_method && !options_.allow_custom_methods) {
    return refuse({400, details::kCodecError});
  }
  if (facts.hosts > 1) return refuse({400, details::kCodecError});
  if (!http::is_valid_authority(headers_->authority()))
    return refuse({400, details::kInvalidAuthority});

  const RequestTarget target =
      read_request_target(method, headers_->path(), options_.allow_absolute_url, headers_->arena());
  if (!target.error_detail.empty()) return refuse({400, target.error_detail});
  if (!target.authority.empty()) headers_->set(HeaderId::Authority, target.authority);
  if (!target.scheme.empty()) headers_->add(HeaderId::Scheme, target.scheme);
  if (connect_request_) {
    headers_->remove(HeaderId::Path);
    headers_->remove(HeaderId::ContentLength);
  } else {
    headers_->set(HeaderId::Path, target.path);
  }
  if (version_ == Protocol::Http10 && !headers_->has(HeaderId::Authority) &&
      !options_.default_host_for_http_10.empty()) {
    headers_->add(HeaderId::Authority, options_.default_host_for_http_10);
  }
  client_closes_ = facts.close || (version_ == Protocol::Http10 && !facts.keep_alive);
  upgrade_request_ = wants_upgrade(body);
  if (upgrade_request_) {
    headers_->remove(HeaderId::ContentLength);  // 0
  } else if (facts.has_upgrade) {
    headers_->remove(HeaderId::Upgrade);
    headers_->remove(HeaderId::Http2Settings);
  }

  const bool may_become_tunnel = connect_request_ || upgrade_request_;
  const bool has_body = body.kind != BodyKind::None;
  body_.start(body);
  reading_ = may_become_tunnel ? Reading::Undecided : has_body ? Reading::Body : Reading::Complete;
  receiver_->on_headers(*headers_, !may_become_tunnel && !has_body);
  return Step::Again;
}

/// One that everybody reads the same way. What came as h2c never was: HTTP/2 in clear text begins
/// with its preface.
bool ServerCodec::wants_upgrade(const BodyFraming& body) const {
  const HeadFacts& facts = parser_.facts();
  if (!facts.has_upgrade || !facts.upgrade_token || version_ != Protocol::Http11) return false;
  if (body.kind != BodyKind::None || connect_request_) return false;
  if (headers_->count(HeaderId::Upgrade) != 1) return false;
  const std::string_view asked = headers_->get(HeaderId::Upgrade);
  if (std::any_of(options_.ignored_upgrades.begin(), options_.ignored_upgrades.end(),
                  [&](const StringMatch& ignored) { return ignored.matches(asked); })) {
    return false;
  }
  return !asked.empty() && is_protocol(asked) && !http::same_protocol(asked, "h2c");
}

void ServerCodec::deliver(Buffer& data, bool end_stream) {
  if (receiver_ != nullptr) receiver_->on_data(data, end_stream);
  data.clear();
}

ServerCodec::Step ServerCodec::read_body(Buffer& data) {
  if (pauses_ > 0 || data.empty()) return Step::Wait;
  const size_t before = data.size();
  const BodyReader::Status status = body_.read(data, scratch_);
  received_bytes_ += before - data.size();
  if (status == BodyReader::Status::Ended) {
    reading_ = Reading::Complete;
    deliver(scratch_, true);
    return Step::Again;
  }
  if (status == BodyReader::Status::Trailers) {
    reading_ = Reading::Trailers;
    Arena& arena = receiver_->arena();
    headers_ = arena.make<http::HeaderMap>(arena);
    parser_.start_trailers(*headers_);
  }
  if (!scratch_.empty()) deliver(scratch_, false);
  // The receiver may have reset the stream; then there is nobody to refuse to.
  if (status == BodyReader::Status::Error && reading_ == Reading::Body) {
    return refuse({400, details::kCodecError});
  }
  return Step::Again;
}

ServerCodec::Step ServerCodec::read_trailers(Buffer& data) {
  if (pauses_ > 0) return Step::Wait;
  const HeadParser::Status status = parser_.parse(data);
  if (status == HeadParser::Status::NeedMore) return Step::Wait;
  if (status == HeadParser::Status::Error) return refuse(parser_.error());
  if (!accept_names()) return refuse({400, details::kUnexpectedUnderscore});
  received_bytes_ += parser_.head_bytes();
  reading_ = Reading::Complete;
  if (options_.enable_trailers && headers_->live_count() > 0) {
    receiver_->on_trailers(*headers_);
  } else {
    deliver(scratch_, true);
  }
  return Step::Again;
}

ServerCodec::Step ServerCodec::read_tunnel(Buffer& data) {
  if (pauses_ > 0 || data.empty()) return Step::Wait;
  received_bytes_ += data.size();
  scratch_.append(data, data.size());
  deliver(scratch_, false);
  return Step::Again;
}

/// The stream stays open for the answer; nothing that follows on the connection is read as a
/// request.
ServerCodec::Step ServerCodec::refuse(const ParseError& error) {
  reading_ = Reading::Discard;
  close_after_ = true;
  handler_.on_codec_error(error.status, error.detail);
  return Step::Again;
}

void ServerCodec::on_peer_end() {
  switch (reading_) {
    case Reading::Idle:
      close_after_ = true;
      return;
    case Reading::Tunnel:
      reading_ = Reading::Complete;
      deliver(scratch_, true);
      if (writing_ == Writing::Ended && receiver_ != nullptr) finish_stream();
      return;
    case Reading::Head:
    case Reading::Body:
    case Reading::Trailers: {
      // What was announced will not come.
      reading_ = Reading::Discard;
      close_after_ = true;
      http::StreamReceiver* receiver = std::exchange(receiver_, nullptr);
      if (receiver != nullptr) receiver->on_reset(ResetReason::ConnectionClosed, kDisconnectDetail);
      return;
    }
    case Reading::Undecided:
    case Reading::Complete:
      client_closes_ = true;
      return;
    case Reading::Discard:
      close_after_ = true;
      return;
  }
}

/// Both directions are done, or the rest of the request is not wanted.
void ServerCodec::finish_stream() {
  if (reading_ == Reading::Complete && !close_after_) {
    reading_ = Reading::Idle;
  } else {
    reading_ = Reading::Discard;
    close_after_ = true;
  }
  receiver_ = nullptr;
  headers_ = nullptr;
  version_ = Protocol::Http11;
  if (pauses_ > 0) {
    pauses_ = 0;
    connection_.resume_reading(kPauseByPeerBuffer);
  }
  if (waiting_ && !above_high_water_) {
    waiting_ = false;
    connection_.resume_reading(kPauseByCodec);
  }
}

void ServerCodec::on_write_high_water() {
  above_high_water_ = true;
  if (receiver_ != nullptr) receiver_->on_send_high_water();
}

void ServerCodec::on_write_low_water() {
  above_high_water_ = false;
  if (receiver_ != nullptr) {
    receiver_->on_send_low_water();
  } else if (waiting_) {
    waiting_ = false;
    connection_.resume_reading(kPauseByCodec);
  }
}

void ServerCodec::on_connection_closed() {
  reading_ = Reading::Discard;
  close_after_ = true;
  http::StreamReceiver* receiver = std::exchange(receiver_, nullptr);
  if (receiver != nullptr) receiver->on_reset(ResetReason::ConnectionClosed, kDisconnectDetail);
}

}  // namespace remora::http1
