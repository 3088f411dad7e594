// Conditions on the names in a certificate. Document:
// envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher. Pure functions; main thread.
#pragma once

#include <absl/status/statusor.h>

#include <vector>

#include "api/tls.pb.h"
#include "proxy/tls/secret.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Those of match_typed_subject_alt_names or, when there are none, of the older
/// match_subject_alt_names, which hold for names of every type.
absl::StatusOr<std::vector<tls::SanMatch>> san_matches(
    const envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext& proto,
    const Context& context, const Path& path);

}  // namespace remora::xds::translate
