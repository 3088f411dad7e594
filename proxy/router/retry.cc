#include "proxy/router/retry.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "proxy/http/grpc.h"
#include "proxy/router/retry_extras.h"

namespace remora::router {
namespace {

using http::HeaderId;
using http::HeaderMap;
using http::ResetReason;

struct Word {
  std::string_view text;
  uint32_t bit;
};

constexpr std::array kRetryOn = {
    Word{"5xx", RetryPolicy::k5xx},
    Word{"gateway-error", RetryPolicy::kGatewayError},
    Word{"connect-failure", RetryPolicy::kConnectFailure},
    Word{"retriable-4xx", RetryPolicy::kRetriable4xx},
    Word{"refused-stream", RetryPolicy::kRefusedStream},
    Word{"retriable-status-codes", RetryPolicy::kRetriableStatusCodes},
    Word{"retriable-headers", RetryPolicy::kRetriableHeaders},
    Word{"reset", RetryPolicy::kReset},
    Word{"reset-before-request", RetryPolicy::kResetBeforeRequest},
    Word{"envoy-ratelimited", RetryPolicy::kEnvoyRatelimited},
};

constexpr std::array kRetryGrpcOn = {
    Word{"cancelled", RetryPolicy::kGrpcCancelled},
    Word{"deadline-exceeded", RetryPolicy::kGrpcDeadlineExceeded},
    Word{"resource-exhausted", RetryPolicy::kGrpcResourceExhausted},
    Word{"unavailable", RetryPolicy::kGrpcUnavailable},
    Word{"internal", RetryPolicy::kGrpcInternal},
};

/// Calls f(element) for each element of a comma-separated list.
template <class F>
void for_each_element(std::string_view list, F f) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    absl::string_view raw(list.data(), std::min(comma, list.size()));
    absl::string_view word = absl::StripAsciiWhitespace(raw);
    if (!word.empty()) f(std::string_view(word.data(), word.size()));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

template <size_t N>
uint32_t bits_of(std::string_view list, const std::array<Word, N>& words) {
  uint32_t bits = 0;
  for_each_element(list, [&](std::string_view element) {
    for (const Word& word : words) {
      if (word.text == element) bits |= word.bit;
    }
  });
  return bits;
}

/// The number that `text` is, or nothing: signs, spaces and overflow are no numbers.
template <class T>
std::optional<T> number(std::string_view text) {
  T value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

uint32_t grpc_bit(const HeaderMap& response) {
  using http::GrpcStatus;
  switch (http::known_grpc_status(http::grpc_status_in(response).value_or(0))) {
    case GrpcStatus::Cancelled:
      return RetryPolicy::kGrpcCancelled;
    case GrpcStatus::DeadlineExceeded:
      return RetryPolicy::kGrpcDeadlineExceeded;
    case GrpcStatus::ResourceExhausted:
      return RetryPolicy::kGrpcResourceExhausted;
    case GrpcStatus::Internal:
      return RetryPolicy::kGrpcInternal;
    case GrpcStatus::Unavailable:
      return RetryPolicy::kGrpcUnavailable;
    default:
      return 0;
  }
}

}  // namespace

uint32_t parse_retry_on(std::string_view words) { return bits_of(words, kRetryOn); }
uint32_t parse_retry_grpc_on(std::string_view words) { return bits_of(words, kRetryGrpcOn); }

RetryPlan::RetryPlan(const RetryPolicy* policy, HeaderMap& request)
    : policy_(policy),
      back_off_ms_(policy != nullptr ? policy->back_off_base_ms : RetryPolicy().back_off_base_ms),
      max_back_off_ms_(policy != nullptr ? policy->back_off_max_ms
                                         : RetryPolicy().back_off_max_ms) {
  if (policy != nullptr) {
    on_ = policy->on;
    remaining_ = policy->num_retries;
  }
  if (request.has(HeaderId::XEnvoyRetryOn)) {
    on_ |= parse_retry_on(request.get(HeaderId::XEnvoyRetryOn));
    if (policy == nullptr) remaining_ = RetryPolicy().num_retries;
    request.remove(HeaderId::XEnvoyRetryOn);
  }
  if (request.has(HeaderId::XEnvoyRetryGrpcOn)) {
    on_ |= parse_retry_grpc_on(request.get(HeaderId::XEnvoyRetryGrpcOn));
    if (policy == nullptr) remaining_ = RetryPolicy().num_retries;
    request.remove(HeaderId::XEnvoyRetryGrpcOn);
  }
  if (!request_qualifies(request)) on_ = 0;
  if (request.has(HeaderId::XEnvoyMaxRetries)) {
    if (auto most = number<uint32_t>(request.get(HeaderId::XEnvoyMaxRetries))) remaining_ = *most;
    request.remove(HeaderId::XEnvoyMaxRetries);
  }
  if (request.has(HeaderId::XEnvoyRetriableStatusCodes)) {
    extra_statuses_ = request.get(HeaderId::XEnvoyRetriableStatusCodes);
    request.remove(HeaderId::XEnvoyRetriableStatusCodes);
  }
  if (request.has(HeaderId::XEnvoyRetriableHeaderNames)) {
    extra_headers_ = request.get(HeaderId::XEnvoyRetriableHeaderNames);
    request.remove(HeaderId::XEnvoyRetriableHeaderNames);
  }
}

bool RetryPlan::request_qualifies(const HeaderMap& request) const {
  if (policy_ == nullptr || policy_->extras == nullptr) return true;
  const auto& wanted = policy_->extras->retriable_request_headers;
  return wanted.empty() || std::ranges::any_of(wanted, [&](const HeaderMatch& match) {
           return match.matches(request);
         });
}

bool RetryPlan::has_header(const HeaderMap& response) const {
  if (policy_ != nullptr && policy_->extras != nullptr) {
    for (const HeaderMatch& match : policy_->extras->retriable_headers) {
      if (match.matches(response)) return true;
    }
  }
  bool found = false;
  for_each_element(extra_headers_, [&](std::string_view name) {
    found |= response.find(absl::AsciiStrToLower(absl::string_view(name.data(), name.size()))) !=
             nullptr;
  });
  return found;
}

void RetryPlan::heed_reset_headers(const HeaderMap& response, uint64_t unix_seconds) {
  constexpr uint64_t kMsPerSecond = 1000;
  told_ms_ = 0;
  if (policy_ == nullptr || policy_->extras == nullptr) return;
  const RetryExtras& extras = *policy_->extras;
  for (const ResetHeader& header : extras.reset_headers) {
    const http::HeaderEntry* entry = response.find(header.name);
    const auto seconds = entry == nullptr ? std::nullopt : number<uint64_t>(entry->value);
    if (!seconds || (header.is_unix_time && *seconds < unix_seconds)) continue;
    const uint64_t wait = header.is_unix_time ? *seconds - unix_seconds : *seconds;
    if (wait > extras.reset_max_ms / kMsPerSecond) continue;
    told_ms_ = wait * kMsPerSecond;
    return;
  }
}

bool RetryPlan::has_status(uint16_t status) const {
  if (policy_ != nullptr) {
    const auto& codes = policy_->retriable_status_codes;
    if (std::find(codes.begin(), codes.end(), status) != codes.end()) return true;
  }
  bool found = false;
  for_each_element(extra_statuses_,
                   [&](std::string_view element) { found |= number<uint16_t>(element) == status; });
  return found;
}

bool RetryPlan::wants_retry(const HeaderMap& response) const {
  constexpr uint16_t kConflict = 409;
  if (on_ == 0) return false;
  // Limited by another proxy: only who asks for it in particular presses on.
  if (response.has(HeaderId::XEnvoyRateLimited)) return (on_ & RetryPolicy::kEnvoyRatelimited) != 0;
  const uint16_t status = response.status();
  if ((on_ & RetryPolicy::k5xx) && status >= 500 && status < 600) return true;
  if ((on_ & RetryPolicy::kGatewayError) && status >= 502 && status <= 504) return true;
  if ((on_ & RetryPolicy::kRetriable4xx) && status == kConflict) return true;
  if ((on_ & RetryPolicy::kRetriableStatusCodes) && has_status(status)) return true;
  if ((on_ & RetryPolicy::kRetriableHeaders) && has_header(response)) return true;
  return (on_ & grpc_bit(response)) != 0;
}

bool RetryPlan::wants_retry(ResetReason reason, bool request_sent) const {
  if (reason == ResetReason::Overflow) return false;
  if (on_ & (RetryPolicy::kReset | RetryPolicy::k5xx | RetryPolicy::kGatewayError)) return true;
  if ((on_ & RetryPolicy::kResetBeforeRequest) && !request_sent) return true;
  if ((on_ & RetryPolicy::kRefusedStream) && reason == ResetReason::RemoteRefused) return true;
  return (on_ & RetryPolicy::kConnectFailure) &&
         (reason == ResetReason::ConnectFailed || reason == ResetReason::ConnectTimeout);
}

bool RetryPlan::wants_retry_after_timeout() const {
  return wants_retry(ResetReason::LocalReset, true);
}

uint64_t RetryPlan::next_back_off_ms(uint64_t random) {
  if (const uint64_t told = std::exchange(told_ms_, 0); told != 0) {
    return told + random % (told / 2);
  }
  const uint64_t interval = std::max<uint64_t>(back_off_ms_, 1);
  back_off_ms_ = std::min(back_off_ms_ * 2, max_back_off_ms_);
  return random % interval;
}

}  // namespace remora::router
