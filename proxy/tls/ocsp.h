// Stapled OCSP responses: whether one belongs to a certificate and until when it may be shown. Main
// thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <string_view>

#include "proxy/tls/openssl_handles.h"

namespace remora::tls {

/// Unix time until which the response may be stapled; an error when it is no successful response
/// for `leaf` alone.
absl::StatusOr<int64_t> ocsp_valid_until(std::string_view der, const X509& leaf);

}  // namespace remora::tls
