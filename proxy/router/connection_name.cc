#include "proxy/router/connection_name.h"

#include <string_view>

#include "proxy/net/address.h"

namespace remora::router {
namespace {

constexpr std::string_view kNoName = ".";

/// An authority without its port and the brackets of an IPv6 address.
std::string_view host_name_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    return end == std::string_view::npos ? std::string_view() : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

bool is_ip_literal(std::string_view name) { return Address::from_ip(name, 0).ok(); }

}  // namespace

void name_connection(const upstream::ClusterConfig& config, const http::HeaderMap& request,
                     Arena& arena, upstream::ConnectionNeeds* needs) {
  if (!config.auto_sni && !config.auto_san_validation) return;
  const http::HeaderEntry* other =
      config.auto_sni_header.empty() ? nullptr : request.find(config.auto_sni_header);
  std::string_view name =
      host_name_of(other != nullptr && !other->value.empty() ? other->value : request.authority());
  // What must be verified and has no name is verified against one that no certificate has.
  if (name.empty()) name = kNoName;
  const std::string_view copy = arena.copy(name);
  needs->key = needs->key.empty() ? copy : arena.join(needs->key, " ", copy);
  // An address is no server name, but it may stand in a certificate.
  if (config.auto_sni && name != kNoName && !is_ip_literal(name)) needs->server_name = copy;
  if (config.auto_san_validation) needs->required_san = copy;
}

}  // namespace remora::router
