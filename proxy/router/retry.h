// Whether a failed attempt is repeated, and when: pure decisions from (policy, request headers,
// what happened). Acting on them is the router's job. The stream's worker thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http/header_map.h"
#include "proxy/router/route_table.h"

namespace remora::router {

/// The words of retry_on and x-envoy-retry-on, and of x-envoy-retry-grpc-on; unknown ones are left
/// out.
uint32_t parse_retry_on(std::string_view words);
uint32_t parse_retry_grpc_on(std::string_view words);

/// What is left of the permission to try again, for one request.
class RetryPlan {
 public:
  RetryPlan() = default;  // no permission
  /// From the policy of the route (or its virtual host; may be null) and the x-envoy-retry-*
  /// headers, which are removed. The headers of untrusted clients are gone by now.
  RetryPlan(const RetryPolicy* policy, http::HeaderMap& request);

  bool armed() const { return on_ != 0; }
  /// No further attempt: the request can't be sent again.
  void give_up() { on_ = 0; }

  bool wants_retry(const http::HeaderMap& response) const;
  /// The response may say when it is worth trying again; the next back-off keeps to that.
  void heed_reset_headers(const http::HeaderMap& response, uint64_t unix_seconds);
  /// Whether the next back-off is one that a response has asked for.
  bool told_when() const { return told_ms_ != 0; }
  /// `request_sent`: a byte of the request may have reached the upstream.
  bool wants_retry(http::ResetReason reason, bool request_sent) const;
  bool wants_retry_after_timeout() const;

  uint32_t remaining() const { return remaining_; }
  void spend() { --remaining_; }
  /// Milliseconds until the next attempt: random in [0, base * 2^n), at most the policy's bound; or
  /// what a response has asked for and up to half as much again.
  uint64_t next_back_off_ms(uint64_t random);
  const RetryPolicy* policy() const { return policy_; }

 private:
  bool has_status(uint16_t status) const;
  bool has_header(const http::HeaderMap& response) const;
  bool request_qualifies(const http::HeaderMap& request) const;

  const RetryPolicy* policy_ = nullptr;
  uint32_t on_ = 0;
  uint32_t remaining_ = 0;
  uint64_t back_off_ms_ = 0;
  uint64_t max_back_off_ms_ = 0;
  uint64_t told_ms_ = 0;
  std::string_view extra_statuses_;  // x-envoy-retriable-status-codes
  std::string_view extra_headers_;   // x-envoy-retriable-header-names
};

}  // namespace remora::router
