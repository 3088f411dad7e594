#include "proxy/connection_manager/request_id.h"

#include <charconv>
#include <optional>

namespace remora::connection_manager {
namespace {

using http::HeaderId;
using http::HeaderMap;

constexpr size_t kUuidBytes = 36;
constexpr size_t kReasonAt = 14;

enum class Reason : char { None = '4', Sampled = '9', Forced = 'a', ByClient = 'b' };

/// The number in the first eight digits, the same at every proxy on the way.
std::optional<uint64_t> stable_random(std::string_view id) {
  constexpr size_t kDigits = 8;
  if (id.size() != kUuidBytes) return std::nullopt;
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + kDigits, number, 16);
  if (error != std::errc() || end != id.data() + kDigits) return std::nullopt;
  return number;
}

Reason reason_in(std::string_view id) {
  switch (id[kReasonAt]) {
    case 'a':
      return Reason::Forced;
    case '9':
      return Reason::Sampled;
    case 'b':
      return Reason::ByClient;
    default:
      return Reason::None;
  }
}

void write_reason(Reason reason, HeaderMap& request) {
  const std::string_view id = request.get(HeaderId::XRequestId);
  const auto digit = static_cast<char>(reason);
  if (id.size() != kUuidBytes || id[kReasonAt] == digit) return;
  request.set(HeaderId::XRequestId,
              request.arena().join(id.substr(0, kReasonAt), std::string_view(&digit, 1),
                                   id.substr(kReasonAt + 1)));
}

Reason decide(const HttpConfig::TraceShares& shares, std::string_view id, uint64_t stable,
              uint64_t random, const HeaderMap& request) {
  const auto within = [](uint64_t draw, uint32_t share) {
    return draw % HttpConfig::TraceShares::kOf < share;
  };
  Reason reason = reason_in(id);
  if (reason == Reason::None) {
    if (request.has(HeaderId::XClientTraceId) && within(random, shares.client)) {
      reason = Reason::ByClient;
    } else if (request.has(HeaderId::XEnvoyForceTrace)) {
      reason = Reason::Forced;
    } else if (within(stable, shares.random)) {
      reason = Reason::Sampled;
    }
  }
  return within(stable, shares.overall) ? reason : Reason::None;
}

}  // namespace

std::string_view make_uuid(uint64_t high, uint64_t low, Arena& arena) {
  constexpr std::string_view kHex = "0123456789abcdef";
  high = (high & ~0xF000ull) | 0x4000ull;      // version 4
  low = (low & ~(3ull << 62)) | (2ull << 62);  // variant
  char* out = static_cast<char*>(arena.allocate(kUuidBytes, 1));
  char* at = out;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) *at++ = '-';
    uint64_t half = nibble < 16 ? high : low;
    *at++ = kHex[half >> (60 - 4 * (nibble % 16)) & 15];
  }
  return {out, kUuidBytes};
}

void apply_request_id(const HttpConfig& config, const Origin& origin, uint64_t random_high,
                      uint64_t random_low, HeaderMap& request) {
  if (!config.generate_request_id) return;
  const bool kept = !origin.edge || config.preserve_external_request_id;
  if (!kept || !request.has(HeaderId::XRequestId)) {
    request.set(HeaderId::XRequestId, make_uuid(random_high, random_low, request.arena()));
  } else if (origin.edge && config.packs_trace_reason) {
    // That a request is traced is not for strangers to say.
    write_reason(Reason::None, request);
  }
}

void pack_trace_reason(const HttpConfig& config, uint64_t random, HeaderMap& request) {
  if (!config.tracing || !config.samples_by_request_id || !config.packs_trace_reason) return;
  const std::string_view id = request.get(HeaderId::XRequestId);
  const std::optional<uint64_t> stable = stable_random(id);
  if (!stable) return;
  const Reason reason = decide(*config.tracing, id, *stable, random, request);
  if (reason != reason_in(id)) write_reason(reason, request);
}

}  // namespace remora::connection_manager
