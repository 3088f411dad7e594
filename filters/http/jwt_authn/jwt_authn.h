// JWT authentication: finds out what a request's route requires, verifies its tokens, waits for
// keys when they have to be fetched, answers 401 or 403 when the requirement is not met. Owned by
// the stream; its worker's thread.
#pragma once

#include <memory>
#include <vector>

#include "filters/http/jwt_authn/settings.h"
#include "filters/http/jwt_authn/verification.h"
#include "proxy/http/filter.h"
#include "proxy/upstream/worker_context.h"

namespace remora::jwt {

class JwtAuthn final : public http::Filter, private upstream::RemoteKeys::Waiter {
 public:
  JwtAuthn(http::FilterStream& stream, const std::shared_ptr<const Settings>& settings)
      : stream_(stream), settings_(*settings) {}

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_response_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_destroy() override { unlink(); }

 private:
  void on_keys(bool fetched) override;
  http::FilterStatus verify();
  Verification::Time time_now();
  upstream::RemoteKeys* keys_to_await();
  http::FilterStatus deny(Status status);
  http::FilterStatus deny_unknown_requirement(std::string_view name);
  http::FilterStatus deny_broken_header(std::string_view name);
  std::string_view challenge_for(Status status);
  const Requirement* required();
  stats::Slab<JwtSchema>& stats() { return settings_.stats->at(stream_.worker().index()); }

  http::FilterStream& stream_;
  const Settings& settings_;
  const Requirement* requirement_ = nullptr;
  upstream::RemoteKeys* awaited_ = nullptr;
  std::string_view challenge_;  // for the answer that this filter gives
  std::vector<const upstream::RemoteKeys*>
      failed_;  // fetches that failed while this request waited
};

}  // namespace remora::jwt
