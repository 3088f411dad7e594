// How the control plane proves who it is, and wants its callers to.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

namespace remora::control_plane {

// Mutual TLS by the files tls.crt, tls.key and ca.crt of a folder, which are read again when they
// change. Without a folder: plain text.
std::shared_ptr<grpc::ServerCredentials> server_credentials(const std::string& identity_folder);

}  // namespace remora::control_plane
