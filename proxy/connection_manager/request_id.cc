#include "proxy/connection_manager/request_id.h"

#include <array>
#include <charconv>
#include <cstring>
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

using TwoDigits = std::array<char, 2>;

constexpr std::array<TwoDigits, 256> hex_of_bytes() {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<TwoDigits, 256> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = {kHex[i >> 4], kHex[i & 15]};
  return out;
}

/// Sixteen digits. By bytes, because a request id is made for every request.
void write_hex(uint64_t number, char* out) {
  static constexpr auto kDigits = hex_of_bytes();
  for (int shift = 56; shift >= 0; shift -= 8, out += 2) {
    std::memcpy(out, kDigits[number >> shift & 0xFF].data(), 2);
  }
}

}  // namespace

std::string_view make_uuid(uint64_t high, uint64_t low, Arena& arena) {
  high = (high & ~0xF000ull) | 0x4000ull;      // version 4
  low = (low & ~(3ull << 62)) | (2ull << 62);  // variant
  char* out = static_cast<char*>(arena.allocate(kUuidBytes, 1));
  char digits[32];
  write_hex(high, digits);
  write_hex(low, digits + 16);
  std::memcpy(out, digits, 8);
  std::memcpy(out + 9, digits + 8, 4);
  std::memcpy(out + 14, digits + 12, 4);
  std::memcpy(out + 19, digits + 16, 4);
  std::memcpy(out + 24, digits + 20, 12);
  out[8] = out[13] = out[18] = out[23] = '-';
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
