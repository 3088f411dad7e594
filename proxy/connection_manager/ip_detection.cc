#include "proxy/connection_manager/ip_detection.h"

#include <absl/strings/ascii.h>

#include <algorithm>

namespace remora::connection_manager {
namespace {

using http::HeaderId;

Address parse(std::string_view text) {
  const absl::string_view stripped = absl::StripAsciiWhitespace({text.data(), text.size()});
  auto parsed = Address::from_ip({stripped.data(), stripped.size()}, 0);
  return parsed.ok() ? *std::move(parsed) : Address();
}

/// Takes the last element off a list.
std::string_view take_last(std::string_view* list) {
  const size_t comma = list->rfind(',');
  if (comma == std::string_view::npos) return std::exchange(*list, {});
  const std::string_view last = list->substr(comma + 1);
  *list = list->substr(0, comma);
  return last;
}

bool contains(std::span<const CidrRange> ranges, const Address& address) {
  return std::ranges::any_of(ranges,
                             [&](const CidrRange& range) { return range.contains(address); });
}

/// The first from the end that is in none of the ranges; the very first when all are.
Address first_untrusted(std::span<const CidrRange> trusted, std::string_view forwarded_for) {
  Address address;
  while (!forwarded_for.empty()) {
    address = parse(take_last(&forwarded_for));
    if (!address || !contains(trusted, address)) return address;
  }
  return address;
}

DetectedIp detect(const DetectByForwarded& by, const Address& peer,
                  const http::HeaderMap& request) {
  const std::string_view forwarded_for = request.get(HeaderId::XForwardedFor);
  DetectedIp out;
  out.append = !by.skip_append;
  if (!by.trusted_ranges.empty() && !contains(by.trusted_ranges, peer)) {
    // Nobody vouches for the list.
    return {.address = peer, .trusted = false, .append = true};
  }
  if (forwarded_for.empty()) return out;
  out.address = by.trusted_ranges.empty() ? address_from_end(forwarded_for, by.trusted_hops)
                                          : first_untrusted(by.trusted_ranges, forwarded_for);
  out.trusted = forwarded_for.find(',') == std::string_view::npos;
  return out;
}

DetectedIp detect(const DetectByHeader& by, const Address& /*peer*/,
                  const http::HeaderMap& request) {
  DetectedIp out;
  if (const http::HeaderEntry* header = request.find(by.name); header != nullptr) {
    out.address = parse(header->value);
  }
  out.trusted = by.trusted;
  if (!out.address) out.reject_status = by.reject_status;
  return out;
}

}  // namespace

DetectedIp detect_ip(std::span<const IpDetection> detections, const Address& peer,
                     const http::HeaderMap& request) {
  DetectedIp out;
  bool append = false;
  for (const IpDetection& detection : detections) {
    out = std::visit([&](const auto& by) { return detect(by, peer, request); }, detection);
    append = append || out.append;
    if (out.address || out.reject_status != 0) break;
  }
  out.append = append;
  return out;
}

Address address_from_end(std::string_view forwarded_for, uint32_t hops) {
  for (; hops > 0; --hops) {
    if (forwarded_for.find(',') == std::string_view::npos) return {};
    take_last(&forwarded_for);
  }
  return parse(take_last(&forwarded_for));
}

}  // namespace remora::connection_manager
