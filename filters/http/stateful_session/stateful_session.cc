#include "filters/http/stateful_session/stateful_session.h"

#include "proxy/upstream/worker_context.h"

namespace remora::stateful_session {

using http::FilterStatus;

uint64_t StatefulSession::now_s() const {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  return static_cast<uint64_t>(stream_.worker().loop().time().wall_ns / kNsPerSecond);
}

FilterStatus StatefulSession::on_request_headers(http::HeaderMap& headers, bool) {
  const auto* of_route =
      static_cast<const SessionConfig*>(stream_.route_config_of(config_.filter_name));
  const SessionConfig& config = of_route != nullptr ? *of_route : config_.session;
  if (!applies(config, headers.path())) return FilterStatus::Continue();
  session_ = &config;
  named_ = stream_.arena().copy(session_host(config, headers, now_s()));
  stream_.info().override_host = named_;
  stream_.info().override_host_strict = config.strict;
  return FilterStatus::Continue();
}

FilterStatus StatefulSession::on_response_headers(http::HeaderMap& headers, bool) {
  const Address* host = stream_.info().upstream_host;
  if (session_ == nullptr || host == nullptr) return FilterStatus::Continue();
  const std::string address = host->to_string();
  if (address == named_) return FilterStatus::Continue();
  const std::string_view value = stream_.arena().copy(session_value(*session_, address, now_s()));
  if (session_->carrier == SessionConfig::Carrier::Cookie) {
    headers.add(http::HeaderId::SetCookie, value);
  } else {
    headers.set(session_->name, value);
  }
  return FilterStatus::Continue();
}

}  // namespace remora::stateful_session
