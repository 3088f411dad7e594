// What kind of client sends a ClientHello like this: JA3 and JA4. Pure functions of the message.
// Documents: github.com/salesforce/ja3, github.com/FoxIO-LLC/ja4 (technical_details/JA4.md).
#pragma once

#include <string>

#include "filters/listener/tls_inspector/client_hello.h"

namespace remora::filters {

/// "771,4865-4866,0-11-10,29-23,0": what JA3 is the digest of. As in Envoy, groups and point
/// formats keep what clients make up at random (GREASE); cipher suites and extensions do not.
std::string ja3_text(const ClientHello& hello);
/// MD5 of it, hexadecimal.
std::string ja3(const ClientHello& hello);

/// "t13d1516h2_8daaf6152771_e5627efa2ab1".
std::string ja4(const ClientHello& hello);

}  // namespace remora::filters
