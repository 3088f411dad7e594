// /certs: the certificates of every TLS context in use. Main thread only. Document:
// envoy.admin.v3.Certificates.
#pragma once

#include "proxy/server/admin/admin.h"
#include "proxy/server/secret_manager.h"

namespace remora::server {

AdminResponse certs_view(const SecretManager& secrets);

}  // namespace remora::server
