#include "proxy/http/grpc.h"

#include <absl/strings/numbers.h>

#include <algorithm>
#include <charconv>

namespace remora::http {
namespace {

constexpr uint64_t kMaxAmount = 99'999'999;  // eight digits
constexpr uint64_t kSecond = 1000, kMinute = 60'000, kHour = 3'600'000;

/// `count` small units in milliseconds, rounded up.
uint64_t rounded_up(uint64_t count, uint64_t per_ms) { return (count + per_ms - 1) / per_ms; }

}  // namespace

bool has_grpc_content_type(const HeaderMap& headers) {
  const std::string_view type = headers.get(HeaderId::ContentType);
  return type.starts_with(kGrpcContentType) &&
         (type.size() == kGrpcContentType.size() || type[kGrpcContentType.size()] == '+');
}

bool is_grpc_response(const HeaderMap& headers, bool end_stream) {
  constexpr uint16_t kOk = 200;
  if (end_stream) return headers.has(HeaderId::GrpcStatus);
  return headers.status() == kOk && has_grpc_content_type(headers);
}

std::optional<int64_t> grpc_status_in(const HeaderMap& headers) {
  if (!headers.has(HeaderId::GrpcStatus)) return std::nullopt;
  const std::string_view text = headers.get(HeaderId::GrpcStatus);
  uint32_t status = 0;
  if (!absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &status)) return -1;
  return status;
}

GrpcStatus grpc_status_of_http(uint16_t http_status) {
  switch (http_status) {
    case 400:
      return GrpcStatus::Internal;
    case 401:
      return GrpcStatus::Unauthenticated;
    case 403:
      return GrpcStatus::PermissionDenied;
    case 404:
      return GrpcStatus::Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus::Unavailable;
    default:
      return GrpcStatus::Unknown;
  }
}

uint16_t http_status_of_grpc(int64_t grpc_status) {
  switch (known_grpc_status(grpc_status)) {
    case GrpcStatus::Ok:
      return 200;
    case GrpcStatus::Cancelled:
      return 499;
    case GrpcStatus::InvalidArgument:
    case GrpcStatus::FailedPrecondition:
    case GrpcStatus::OutOfRange:
      return 400;
    case GrpcStatus::Unauthenticated:
      return 401;
    case GrpcStatus::PermissionDenied:
      return 403;
    case GrpcStatus::NotFound:
      return 404;
    case GrpcStatus::AlreadyExists:
    case GrpcStatus::Aborted:
      return 409;
    case GrpcStatus::ResourceExhausted:
      return 429;
    case GrpcStatus::Unimplemented:
      return 501;
    case GrpcStatus::Unavailable:
      return 503;
    case GrpcStatus::DeadlineExceeded:
      return 504;
    case GrpcStatus::Unknown:
    case GrpcStatus::Internal:
    case GrpcStatus::DataLoss:
    case GrpcStatus::kCount:
      break;
  }
  return 500;
}

bool is_server_error(int64_t grpc_status) { return http_status_of_grpc(grpc_status) >= 500; }

std::string_view percent_encoded_grpc_message(std::string_view text, Arena& arena) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  char* out = static_cast<char*>(arena.allocate(text.size() * 3 + 1, 1));
  char* at = out;
  for (unsigned char c : text) {
    if (c >= ' ' && c < '~' && c != '%') {
      *at++ = static_cast<char>(c);
    } else {
      *at++ = '%';
      *at++ = kHex[c >> 4];
      *at++ = kHex[c & 15];
    }
  }
  return {out, static_cast<size_t>(at - out)};
}

std::optional<uint64_t> parse_grpc_timeout(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t amount = 0;
  // Blanks, a plus sign and leading zeros are let pass, as Envoy does.
  if (!absl::SimpleAtoi(absl::string_view(text.data(), text.size() - 1), &amount) ||
      amount > kMaxAmount) {
    return std::nullopt;
  }
  switch (text.back()) {
    case 'H':
      return amount * kHour;
    case 'M':
      return amount * kMinute;
    case 'S':
      return amount * kSecond;
    case 'm':
      return amount;
    case 'u':
      return rounded_up(amount, 1000);
    case 'n':
      return rounded_up(amount, 1'000'000);
    default:
      return std::nullopt;
  }
}

void set_grpc_timeout(uint64_t ms, HeaderMap& request) {
  struct Unit {
    uint64_t ms;
    char letter;
  };
  constexpr Unit kUnits[] = {{1, 'm'}, {kSecond, 'S'}, {kMinute, 'M'}, {kHour, 'H'}};
  const Unit* unit = kUnits;
  while (unit->ms < kHour && ms / unit->ms > kMaxAmount) ++unit;
  constexpr size_t kLength = 9;
  char* out = static_cast<char*>(request.arena().allocate(kLength, 1));
  char* end = std::to_chars(out, out + kLength, std::min(ms / unit->ms, kMaxAmount)).ptr;
  *end++ = unit->letter;
  request.set(HeaderId::GrpcTimeout, {out, static_cast<size_t>(end - out)});
}

}  // namespace remora::http
