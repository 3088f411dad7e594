#include "filters/network/tcp_proxy/tunnel.h"

#include <algorithm>
#include <utility>

#include "proxy/http/target.h"
#include "proxy/http/upgrade.h"

namespace remora::tcp_proxy {

using http::HeaderId;

namespace {

/// Facts of the session come from its client; what would break a message must not get into one.
bool is_header_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
  });
}

}  // namespace

Tunnel::Tunnel(User& user, const TunnelConfig& config, BlockPool& blocks)
    : user_(user), config_(config), arena_(blocks), request_(arena_), nothing_(blocks) {}

bool Tunnel::prepare(const http::StreamInfo& session) {
  std::string host;
  config_.host.append(session, host);
  if (host.empty() || !http::is_valid_authority(host)) return false;
  const bool post = !config_.post_path.empty();
  request_.add(HeaderId::Method, post ? std::string_view("POST") : http::kConnect);
  request_.add(HeaderId::Authority, arena_.copy(host));
  if (post) {
    request_.add(HeaderId::Path, config_.post_path);
    request_.add(HeaderId::Scheme, "http");
  }
  return std::all_of(config_.headers.begin(), config_.headers.end(),
                     [&](const auto& header) { return add_header(header, session); });
}

bool Tunnel::add_header(const TunnelConfig::Header& header, const http::StreamInfo& session) {
  std::string value;
  header.value.append(session, value);
  if (!is_header_value(value)) return false;
  if (value.empty() && !header.keep_empty) return true;
  const bool there = request_.find(header.name) != nullptr;
  if (there ? header.add_if_absent : header.only_if_there) return true;
  if (header.overwrite && there) {
    request_.set(header.name, arena_.copy(value));
  } else {
    request_.add(header.name, arena_.copy(value));
  }
  return true;
}

bool Tunnel::start(upstream::Cluster& cluster, const upstream::HostPtr& host,
                   const upstream::ConnectionNeeds& needs) {
  host_ = host;
  upstream::Acquired acquired =
      cluster.acquire_http(host, upstream::Priority::Default, *this, needs);
  if (acquired.ready != nullptr) {
    on_pool_ready(*acquired.ready);
    return true;
  }
  pending_ = std::move(acquired.pending);
  return pending_ != nullptr;
}

void Tunnel::give_up() {
  pending_ = nullptr;
  open_ = false;
  if (http::StreamSender* sender = std::exchange(sender_, nullptr)) {
    sender->reset(http::ResetReason::LocalReset);
  }
}

void Tunnel::on_pool_ready(upstream::HttpConnection& connection) {
  pending_ = nullptr;
  host_ = connection.host();
  connection_ = &connection.connection();
  sender_ = &connection.new_stream(*this);
  sender_->send_headers(request_, false);
}

void Tunnel::on_pool_failure(upstream::PoolFailure /*failure*/, std::string_view detail,
                             const upstream::HostPtr& host) {
  pending_ = nullptr;
  if (host != nullptr) host_ = host;
  user_.on_tunnel_failed(detail);
}

void Tunnel::on_headers(http::HeaderMap& headers, bool end_stream) {
  if (sender_ == nullptr) return;
  const uint16_t status = headers.status();
  if (!http::opens_tunnel(http::kConnect, status)) {
    give_up();
    user_.on_tunnel_failed("tunnel_response:" + std::to_string(status));
    return;
  }
  open_ = true;
  user_.on_tunnel_open();
  if (end_stream && sender_ != nullptr) on_data(nothing_, true);
}

void Tunnel::on_data(Buffer& data, bool end_stream) {
  if (!open_ || response_ended_) {
    data.clear();
    return;
  }
  if (end_stream) {
    response_ended_ = true;
    complete_when_done();
  }
  user_.on_tunnel_data(data, end_stream);
}

void Tunnel::on_trailers(http::HeaderMap& /*trailers*/) { on_data(nothing_, true); }

void Tunnel::on_reset(http::ResetReason /*reason*/, std::string_view detail) {
  if (std::exchange(sender_, nullptr) == nullptr) return;
  if (std::exchange(open_, false)) return user_.on_tunnel_broken();
  // A codec says what became of the stream, which the flags tell already; only transports say why.
  const bool by_codec = detail.starts_with("upstream_reset") || detail.starts_with("http");
  user_.on_tunnel_failed(by_codec ? std::string_view() : detail);
}

void Tunnel::send(Buffer& data, bool end_stream) {
  if (sender_ == nullptr || request_ended_) {
    data.clear();
    return;
  }
  sender_->send_data(data, end_stream);
  if (!end_stream) return;
  request_ended_ = true;
  complete_when_done();
}

/// Nothing is left to give up.
void Tunnel::complete_when_done() {
  if (request_ended_ && response_ended_) sender_ = nullptr;
}

}  // namespace remora::tcp_proxy
