// Who the client is, when neither the connection nor x-forwarded-for alone shall say
// (original_ip_detection_extensions). Pure functions of (configuration, headers, connection).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "proxy/http/header_map.h"
#include "proxy/net/address.h"

namespace remora::connection_manager {

/// By x-forwarded-for: some hops from its end, or behind what is in trusted ranges.
struct DetectByForwarded {
  uint32_t trusted_hops = 0;
  std::vector<CidrRange> trusted_ranges = {};  // empty: by hops
  bool skip_append = true;
};
struct DetectByHeader {
  std::string name;  // lower case
  bool trusted = false;
  uint16_t reject_status = 0;  // 0: a request that does not have it is not refused
};
using IpDetection = std::variant<DetectByForwarded, DetectByHeader>;

struct DetectedIp {
  Address address;       // none: nothing was detected
  bool trusted = false;  // may count as internal
  bool append = false;   // the peer's address shall be appended to x-forwarded-for
  uint16_t reject_status = 0;
};

/// Asks one after the other until one knows, or refuses.
DetectedIp detect_ip(std::span<const IpDetection> detections, const Address& peer,
                     const http::HeaderMap& request);

/// The address that stands `hops` from the end of an x-forwarded-for list; none when it is not an
/// address.
Address address_from_end(std::string_view forwarded_for, uint32_t hops);

}  // namespace remora::connection_manager
