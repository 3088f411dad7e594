#include "proxy/connection_manager/forwarded.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <array>

#include "proxy/connection_manager/client_cert.h"

namespace remora::connection_manager {
namespace {

using http::HeaderId;
using http::HeaderMap;

/// What only a trusted neighbour may say.
constexpr std::array kFromInternalOnly = {
    HeaderId::XEnvoyRetriableStatusCodes,
    HeaderId::XEnvoyRetriableHeaderNames,
    HeaderId::XEnvoyRetryOn,
    HeaderId::XEnvoyRetryGrpcOn,
    HeaderId::XEnvoyMaxRetries,
    HeaderId::XEnvoyUpstreamAltStatName,
    HeaderId::XEnvoyUpstreamRqTimeoutMs,
    HeaderId::XEnvoyUpstreamRqPerTryTimeoutMs,
    HeaderId::XEnvoyUpstreamRqTimeoutAltResponse,
    HeaderId::XEnvoyExpectedRqTimeoutMs,
    HeaderId::XEnvoyForceTrace,
    HeaderId::XEnvoyIpTags,
    HeaderId::XEnvoyHedgeOnPerTryTimeout,
};

/// What nobody in front of the first proxy may say.
constexpr std::array kNeverFromEdge = {
    HeaderId::XEnvoyDecoratorOperation,    HeaderId::XEnvoyDownstreamServiceCluster,
    HeaderId::XEnvoyDownstreamServiceNode, HeaderId::XEnvoyOriginalPath,
    HeaderId::XEnvoyOriginalHost,
};

bool is_internal(const HttpConfig& config, const Address& address) {
  if (address.family() == Address::Family::Unix) return config.internal_unix_sockets;
  return std::any_of(config.internal_ranges.begin(), config.internal_ranges.end(),
                     [&](const CidrRange& range) { return range.contains(address); });
}

std::string_view ip_text(const Address& address, Arena& arena) {
  return arena.copy(address.ip_string());
}

std::string_view scheme_of(const Peer& peer) { return peer.secure ? "https" : "http"; }

std::string_view trimmed(std::string_view text) {
  absl::string_view stripped = absl::StripAsciiWhitespace({text.data(), text.size()});
  return {stripped.data(), stripped.size()};
}

void append_peer(const HttpConfig& config, const Peer& peer, HeaderMap& request) {
  std::string_view address;
  if (peer.remote.is_loopback() && peer.remote.is_ip()) {
    address = config.local_address;
  } else if (peer.remote.is_ip()) {
    address = ip_text(peer.remote, request.arena());
  } else {
    return;
  }
  request.append(HeaderId::XForwardedFor, address);
}

/// The client's address when this proxy believes its own eyes. `single` says that nobody else was
/// named.
Address by_connection(const HttpConfig& config, const Peer& peer, HeaderMap& request,
                      bool* single) {
  *single = !request.has(HeaderId::XForwardedFor);
  Address client;
  if (config.xff_num_trusted_hops > 0) {
    client =
        address_from_end(request.get(HeaderId::XForwardedFor), config.xff_num_trusted_hops - 1);
  }
  if (!client) client = peer.remote;
  if (!config.skip_xff_append) append_peer(config, peer, request);
  if (config.xff_num_trusted_hops == 0 || !request.has(HeaderId::XForwardedProto)) {
    request.set(HeaderId::XForwardedProto, scheme_of(peer));
  }
  return client;
}

Address by_header(const HttpConfig& config, HeaderMap& request, bool* single) {
  *single = false;
  if (!request.has(HeaderId::XForwardedFor)) return {};
  std::string_view forwarded = request.get(HeaderId::XForwardedFor);
  *single = forwarded.find(',') == std::string_view::npos;
  return address_from_end(forwarded, config.xff_num_trusted_hops);
}

void strip_untrusted(const Origin& origin, std::span<const std::string> internal_only,
                     HeaderMap& request) {
  if (origin.edge) {
    for (HeaderId id : kNeverFromEdge) {
      if (request.has(id)) request.remove(id);
    }
  }
  for (HeaderId id : kFromInternalOnly) {
    if (request.has(id)) request.remove(id);
  }
  for (const std::string& name : internal_only) request.remove(name);
}

}  // namespace

Address address_from_end(std::string_view forwarded_for, uint32_t hops) {
  for (;;) {
    size_t comma = forwarded_for.rfind(',');
    std::string_view last =
        comma == std::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1);
    if (hops == 0) {
      auto parsed = Address::from_ip(trimmed(last), 0);
      return parsed.ok() ? *std::move(parsed) : Address();
    }
    if (comma == std::string_view::npos) return {};
    forwarded_for = forwarded_for.substr(0, comma);
    --hops;
  }
}

Origin apply_forwarded(const HttpConfig& config, const Peer& peer,
                       std::span<const std::string> internal_only, HeaderMap& request) {
  // A header sent twice is one list.
  if (request.count(HeaderId::XForwardedFor) > 1) {
    request.set(HeaderId::XForwardedFor, *request.joined("x-forwarded-for"));
  }
  request.remove(HeaderId::XEnvoyInternal);

  Origin origin;
  bool single = false;
  origin.remote = config.use_remote_address ? by_connection(config, peer, request, &single)
                                            : by_header(config, request, &single);
  if (!request.has(HeaderId::XForwardedProto)) {
    request.add(HeaderId::XForwardedProto, scheme_of(peer));
  }
  if (!request.has(HeaderId::Scheme)) {
    std::string_view proto = request.get(HeaderId::XForwardedProto);
    request.add(HeaderId::Scheme, proto == "http" || proto == "https" ? proto : scheme_of(peer));
  }
  origin.internal = single && origin.remote && is_internal(config, origin.remote);
  origin.edge = !origin.internal && config.use_remote_address;
  if (!origin.remote) origin.remote = peer.remote;

  if (origin.internal) {
    request.set(HeaderId::XEnvoyInternal, "true");
  } else {
    strip_untrusted(origin, internal_only, request);
  }
  if (origin.edge && origin.remote.is_ip()) {
    request.set(HeaderId::XEnvoyExternalAddress, ip_text(origin.remote, request.arena()));
  }
  apply_client_cert(config, peer.tls, request);
  return origin;
}

std::string_view make_uuid(uint64_t high, uint64_t low, Arena& arena) {
  constexpr std::string_view kHex = "0123456789abcdef";
  constexpr size_t kLength = 36;
  high = (high & ~0xF000ull) | 0x4000ull;      // version 4
  low = (low & ~(3ull << 62)) | (2ull << 62);  // variant
  char* out = static_cast<char*>(arena.allocate(kLength, 1));
  char* at = out;
  for (int nibble = 0; nibble < 32; ++nibble) {
    if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) *at++ = '-';
    uint64_t half = nibble < 16 ? high : low;
    *at++ = kHex[half >> (60 - 4 * (nibble % 16)) & 15];
  }
  return {out, kLength};
}

void apply_request_id(const HttpConfig& config, const Origin& origin, uint64_t random_high,
                      uint64_t random_low, HeaderMap& request) {
  if (!config.generate_request_id) return;
  const bool replace = origin.edge && !config.preserve_external_request_id;
  if (request.has(HeaderId::XRequestId) && !replace) return;
  request.set(HeaderId::XRequestId, make_uuid(random_high, random_low, request.arena()));
}

}  // namespace remora::connection_manager
