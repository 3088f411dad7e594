// What either HTTP version refuses in the target of a request. Pure functions; any thread.
#pragma once

#include <string_view>

namespace remora::http {

/// What Host, :authority and the authority of a target may consist of: the bytes of a host, a port
/// and an IPv6 literal.
bool is_valid_authority(std::string_view authority);

/// The authority form of CONNECT (RFC 9110 section 9.3.6): of a valid authority, whether it has
/// both.
bool has_host_and_port(std::string_view authority);

/// Visible ASCII only: anything else two readers could decode differently.
bool is_visible_ascii(std::string_view path);

/// "//host/.." would be another host to a reader that resolves it as a reference.
bool climbs_out_of_double_slash(std::string_view path);

}  // namespace remora::http
