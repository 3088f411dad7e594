// Requests that ask for a connection of another kind: an HTTP/1.1 upgrade, or CONNECT. HTTP/2's
// extended CONNECT (RFC 8441) is brought into the form of an upgrade by its codec and back, so that
// everybody else knows one form. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/http/header_map.h"

namespace remora::http {

/// What wanted_tunnel() and upgrade_type call a CONNECT.
inline constexpr std::string_view kConnect = "CONNECT";

/// Whether `value`, a comma-separated list, names the option "upgrade".
bool names_upgrade(std::string_view connection);

/// The protocol that the request asks to change to; empty: none.
std::string_view wanted_upgrade(const HeaderMap& request);

/// The same, and kConnect for a CONNECT.
std::string_view wanted_tunnel(const HeaderMap& request);

/// Whether an answer of `status` gives what was wanted: from then on both directions are bytes.
bool opens_tunnel(std::string_view wanted, uint16_t status);

/// Protocol names do not differ by case.
bool same_protocol(std::string_view a, std::string_view b);

}  // namespace remora::http
