#include "proxy/server/admin/certs_view.h"

#include <algorithm>

#include "api/certs.pb.h"
#include "proxy/base/clock.h"
#include "proxy/server/admin/json.h"

namespace remora::server {
namespace {

constexpr int64_t kSecondsPerDay = 86400;

void set_details(const tls::CertificateReport& from, int64_t now_s,
                 envoy::admin::v3::CertificateDetails* out) {
  const CertificateIdentity& identity = from.identity;
  out->set_path(from.path);
  out->set_serial_number(identity.serial);
  for (const std::string& name : identity.dns_sans) out->add_subject_alt_names()->set_dns(name);
  for (const std::string& name : identity.uri_sans) out->add_subject_alt_names()->set_uri(name);
  for (const std::string& name : identity.ip_sans)
    out->add_subject_alt_names()->set_ip_address(name);
  const int64_t left = std::max<int64_t>(identity.not_after_s - now_s, 0);
  out->set_days_until_expiration(static_cast<uint64_t>(left / kSecondsPerDay));
  out->mutable_valid_from()->set_seconds(identity.not_before_s);
  out->mutable_expiration_time()->set_seconds(identity.not_after_s);
}

}  // namespace

AdminResponse certs_view(const SecretManager& secrets) {
  envoy::admin::v3::Certificates certificates;
  const int64_t now_s = static_cast<int64_t>(wall_now_ns() / 1'000'000'000);
  for (const tls::ContextReport* report : secrets.reports()) {
    auto* out = certificates.add_certificates();
    for (const auto& ca : report->ca) set_details(ca, now_s, out->add_ca_cert());
    for (const auto& own : report->own) set_details(own, now_s, out->add_cert_chain());
  }
  if (certificates.certificates().empty())
    return AdminResponse::json("{\n \"certificates\": []\n}\n");
  return AdminResponse::json(to_json(certificates));
}

}  // namespace remora::server
