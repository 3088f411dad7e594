// Reads what a certificate authority's responder signed; clients check the signature, we only hand
// it on.
#include "proxy/tls/ocsp.h"

#include <openssl/ocsp.h>

namespace remora::tls {
namespace {

absl::Status refused(const char* why) { return absl::InvalidArgumentError(why); }

}  // namespace

absl::StatusOr<int64_t> ocsp_valid_until(std::string_view der, const X509& leaf) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const Handle<OCSP_RESPONSE, OCSP_RESPONSE_free> response(
      d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(der.size())));
  if (response == nullptr) return refused("does not parse as an OCSP response");
  if (OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return refused("the OCSP response is not a successful one");
  }
  const Handle<OCSP_BASICRESP, OCSP_BASICRESP_free> basic(OCSP_response_get1_basic(response.get()));
  if (basic == nullptr) return refused("the OCSP response is not a basic one");
  if (OCSP_resp_count(basic.get()) != 1) {
    return refused("the OCSP response must be for one certificate only");
  }
  OCSP_SINGLERESP* single = OCSP_resp_get0(basic.get(), 0);
  ASN1_INTEGER* serial = nullptr;
  OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial,
                    const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single)));
  if (serial == nullptr || ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(&leaf)) != 0) {
    return refused("the OCSP response does not match the certificate");
  }
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  OCSP_single_get0_status(single, nullptr, nullptr, nullptr, &next_update);
  if (next_update == nullptr)
    return int64_t{0};  // taken for expired: it does not say how long it holds
  const Handle<ASN1_TIME, ASN1_TIME_free> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (epoch == nullptr || ASN1_TIME_diff(&days, &seconds, epoch.get(), next_update) != 1) {
    return refused("the OCSP response's next update is no time");
  }
  return int64_t{days} * 86400 + seconds;
}

}  // namespace remora::tls
