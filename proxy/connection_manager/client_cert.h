// x-forwarded-client-cert: what is let through, taken away or told about the client's certificate.
// A pure function of (configuration, what the connection proved, headers). The stream's worker
// thread.
#pragma once

#include "proxy/connection_manager/config.h"
#include "proxy/http/header_map.h"
#include "proxy/net/tls_facts.h"

namespace remora::connection_manager {

/// `tls` is null over plain connections. Only a certificate that was verified speaks for the
/// header.
void apply_client_cert(const HttpConfig& config, const TlsFacts* tls, http::HeaderMap& request);

}  // namespace remora::connection_manager
