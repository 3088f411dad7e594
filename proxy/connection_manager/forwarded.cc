#include "proxy/connection_manager/forwarded.h"

#include <algorithm>
#include <array>
#include <charconv>

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
    HeaderId::XEnvoyUpstreamStreamDurationMs,
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

bool among(const std::vector<uint16_t>& ports, uint16_t port) {
  return std::ranges::find(ports, port) != ports.end();
}

std::string_view scheme_of(const HttpConfig& config, const Peer& peer) {
  if (peer.local_restored) {
    if (among(config.https_ports, peer.local_port)) return "https";
    if (among(config.http_ports, peer.local_port)) return "http";
  }
  return peer.secure ? "https" : "http";
}

std::string_view decimal(uint16_t number, Arena& arena) {
  char digits[8];
  const auto result = std::to_chars(digits, digits + sizeof(digits), number);
  return arena.copy({digits, static_cast<size_t>(result.ptr - digits)});
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
    request.set(HeaderId::XForwardedProto, scheme_of(config, peer));
  }
  if (config.append_x_forwarded_port && config.xff_num_trusted_hops == 0) {
    request.set(HeaderId::XForwardedPort, decimal(peer.local_port, request.arena()));
  }
  return client;
}

Address by_detection(const HttpConfig& config, const Peer& peer, HeaderMap& request, bool* single,
                     uint16_t* reject_status) {
  const DetectedIp detected = detect_ip(config.ip_detections, peer.remote, request);
  *single = detected.trusted;
  *reject_status = detected.reject_status;
  if (detected.append) append_peer(config, peer, request);
  return detected.address;
}

Address by_header(const HttpConfig& config, HeaderMap& request, bool* single) {
  *single = false;
  if (!request.has(HeaderId::XForwardedFor)) return {};
  std::string_view forwarded = request.get(HeaderId::XForwardedFor);
  *single = forwarded.find(',') == std::string_view::npos;
  return address_from_end(forwarded, config.xff_num_trusted_hops);
}

void set_scheme(const HttpConfig& config, const Peer& peer, HeaderMap& request) {
  if (!config.scheme_to_overwrite.empty()) {
    request.set(HeaderId::XForwardedProto, config.scheme_to_overwrite);
    request.set(HeaderId::Scheme, config.scheme_to_overwrite);
    return;
  }
  if (!request.has(HeaderId::XForwardedProto)) {
    request.add(HeaderId::XForwardedProto, scheme_of(config, peer));
  }
  if (!request.has(HeaderId::Scheme)) {
    std::string_view proto = request.get(HeaderId::XForwardedProto);
    request.add(HeaderId::Scheme,
                proto == "http" || proto == "https" ? proto : scheme_of(config, peer));
  }
}

/// Tells the next hop which service asks.
void name_ourselves(const HttpConfig& config, HeaderMap& request) {
  request.set(HeaderId::XEnvoyDownstreamServiceCluster, config.user_agent);
  if (request.get(HeaderId::UserAgent).empty()) {
    request.set(HeaderId::UserAgent, config.user_agent);
  }
  if (!config.own_node_id.empty()) {
    request.set(HeaderId::XEnvoyDownstreamServiceNode, config.own_node_id);
  }
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

Origin apply_forwarded(const HttpConfig& config, const Peer& peer,
                       std::span<const std::string> internal_only, HeaderMap& request) {
  // A header sent twice is one list.
  if (request.count(HeaderId::XForwardedFor) > 1) {
    request.set(HeaderId::XForwardedFor, *request.joined("x-forwarded-for"));
  }
  request.remove(HeaderId::XEnvoyInternal);

  Origin origin;
  bool single = false;
  if (config.use_remote_address) {
    origin.remote = by_connection(config, peer, request, &single);
  } else if (config.ip_detections.empty()) {
    origin.remote = by_header(config, request, &single);
  } else {
    origin.remote = by_detection(config, peer, request, &single, &origin.reject_status);
    if (origin.reject_status != 0) return origin;
  }
  set_scheme(config, peer, request);
  if (config.append_x_forwarded_port && !request.has(HeaderId::XForwardedPort)) {
    request.add(HeaderId::XForwardedPort, decimal(peer.local_port, request.arena()));
  }
  origin.internal = single && origin.remote && is_internal(config, origin.remote);
  origin.edge = !origin.internal && config.use_remote_address;
  if (!origin.remote) origin.remote = peer.remote;

  if (origin.internal) {
    request.set(HeaderId::XEnvoyInternal, "true");
  } else {
    strip_untrusted(origin, internal_only, request);
  }
  if (!config.user_agent.empty()) name_ourselves(config, request);
  if (!config.via.empty()) request.append(HeaderId::Via, config.via, ", ");
  if (origin.edge && origin.remote.is_ip()) {
    request.set(HeaderId::XEnvoyExternalAddress, ip_text(origin.remote, request.arena()));
  }
  apply_client_cert(config, peer.tls, request);
  return origin;
}

}  // namespace remora::connection_manager
