// gRPC's own file watching: it keeps the last good files when the new ones can't be used.
#include "tools/control_plane/credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

namespace remora::control_plane {
namespace {

constexpr unsigned kSecondsBetweenLooks = 1;

}  // namespace

std::shared_ptr<grpc::ServerCredentials> server_credentials(const std::string& identity_folder) {
  if (identity_folder.empty()) return grpc::InsecureServerCredentials();
  using grpc::experimental::FileWatcherCertificateProvider;
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<FileWatcherCertificateProvider>(
          identity_folder + "/tls.key", identity_folder + "/tls.crt", identity_folder + "/ca.crt",
          kSecondsBetweenLooks));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace remora::control_plane
