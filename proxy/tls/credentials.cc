// Parses PEM and PKCS #12. Main thread.
#include "proxy/tls/credentials.h"

#include <absl/strings/str_cat.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "proxy/tls/ocsp.h"

namespace remora::tls {
namespace {

constexpr int kMinRsaBits = 2048;

/// Where distributions keep their roots.
constexpr const char* kSystemBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

absl::Status refused(std::string_view field, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(absl::string_view(field.data(), field.size()),
                                                 ": ", absl::string_view(why.data(), why.size())));
}

/// Never asks a terminal: without a password an encrypted key is refused.
int give_password(char* out, int room, int, void* password) {
  const std::string_view text = static_cast<const Sensitive*>(password)->view();
  if (text.empty() || text.size() > static_cast<size_t>(room)) return -1;
  std::memcpy(out, text.data(), text.size());
  return static_cast<int>(text.size());
}

bool at_end_of_pem() {
  const unsigned long error = ERR_peek_last_error();
  const bool ended =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (ended) ERR_clear_error();
  return ended;
}

absl::Status read_chain(std::string_view pem, OwnCertificate& out) {
  const BioHandle in = reading(pem);
  out.leaf.reset(PEM_read_bio_X509_AUX(in.get(), nullptr, nullptr, nullptr));
  if (out.leaf == nullptr) {
    return refused("certificate_chain", absl::StrCat("no certificate: ", take_last_error()));
  }
  for (;;) {
    X509* next = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr);
    if (next == nullptr) break;
    sk_X509_push(out.chain.get(), next);
  }
  if (!at_end_of_pem()) return refused("certificate_chain", take_last_error());
  return absl::OkStatus();
}

absl::Status read_key(const Certificate& from, OwnCertificate& out) {
  if (from.key_pem.empty()) return refused("private_key", "missing");
  const BioHandle in = reading(from.key_pem.view());
  out.key.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, give_password,
                                        const_cast<Sensitive*>(&from.password)));
  if (out.key == nullptr) return refused("private_key", take_last_error());
  return absl::OkStatus();
}

absl::Status read_pkcs12(const Certificate& from, OwnCertificate& out) {
  const BioHandle in = reading(from.pkcs12.view());
  const Handle<PKCS12, PKCS12_free> archive(d2i_PKCS12_bio(in.get(), nullptr));
  if (archive == nullptr) return refused("pkcs12", take_last_error());
  EVP_PKEY* key = nullptr;
  X509* leaf = nullptr;
  STACK_OF(X509)* chain = nullptr;
  std::string password(from.password.view());
  const int parsed = PKCS12_parse(archive.get(), password.c_str(), &key, &leaf, &chain);
  OPENSSL_cleanse(password.data(), password.size());
  out.key.reset(key);
  out.leaf.reset(leaf);
  if (chain != nullptr) out.chain.reset(chain);
  if (parsed != 1) return refused("pkcs12", take_last_error());
  if (leaf == nullptr) return refused("pkcs12", "holds no certificate");
  if (key == nullptr) return refused("pkcs12", "holds no private key");
  return absl::OkStatus();
}

absl::Status check_key(std::string_view field, OwnCertificate& out) {
  if (X509_check_private_key(out.leaf.get(), out.key.get()) != 1) {
    ERR_clear_error();
    return refused(field, "does not match the certificate");
  }
  if (EVP_PKEY_is_a(out.key.get(), "RSA") && EVP_PKEY_get_bits(out.key.get()) < kMinRsaBits) {
    return refused("certificate_chain",
                   "only RSA certificates with keys of 2048 bits or more are supported");
  }
  if (!EVP_PKEY_is_a(out.key.get(), "EC")) return absl::OkStatus();
  char group[64];
  size_t size = 0;
  if (EVP_PKEY_get_group_name(out.key.get(), group, sizeof(group), &size) == 1) {
    out.curve = OBJ_txt2nid(group);
  }
  if (out.curve != NID_X9_62_prime256v1 && out.curve != NID_secp384r1 &&
      out.curve != NID_secp521r1) {
    return refused("certificate_chain",
                   "only P-256, P-384 or P-521 ECDSA certificates are supported");
  }
  return absl::OkStatus();
}

bool promises_staple(X509* leaf) {
  constexpr long kStatusRequest = 5;  // RFC 7633
  const Handle<TLS_FEATURE, TLS_FEATURE_free> features(
      static_cast<TLS_FEATURE*>(X509_get_ext_d2i(leaf, NID_tlsfeature, nullptr, nullptr)));
  for (int i = 0; features != nullptr && i < sk_ASN1_INTEGER_num(features.get()); ++i) {
    if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features.get(), i)) == kStatusRequest) return true;
  }
  return false;
}

absl::Status read_staple(const Certificate& from, OwnCertificate& out) {
  out.must_staple = promises_staple(out.leaf.get());
  if (from.ocsp_staple.empty()) return absl::OkStatus();
  absl::StatusOr<int64_t> valid_until = ocsp_valid_until(from.ocsp_staple, *out.leaf);
  if (!valid_until.ok()) return refused("ocsp_staple", std::string(valid_until.status().message()));
  out.ocsp_response = from.ocsp_staple;
  out.ocsp_valid_until_s = *valid_until;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OwnCertificate> load(const Certificate& certificate) {
  prepare_openssl();
  OwnCertificate own;
  own.name = certificate.name;
  own.source = certificate.source;
  own.chain.reset(sk_X509_new_null());
  const bool archive = !certificate.pkcs12.empty();
  absl::Status status =
      archive ? read_pkcs12(certificate, own) : read_chain(certificate.chain_pem, own);
  if (status.ok() && !archive) status = read_key(certificate, own);
  if (status.ok()) status = check_key(archive ? "pkcs12" : "private_key", own);
  if (status.ok()) status = read_staple(certificate, own);
  if (!status.ok()) return status;
  own.read = std::make_shared<const ReadCertificate>(read_certificate(*own.leaf));
  return own;
}

absl::StatusOr<Bundle> load_bundle(std::string_view pem, std::string_view field) {
  prepare_openssl();
  const BioHandle in = reading(pem);
  const InfoStack infos(PEM_X509_INFO_read_bio(in.get(), nullptr, nullptr, nullptr));
  if (infos == nullptr) return refused(field, take_last_error());
  ERR_clear_error();
  Bundle bundle;
  for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
    X509_INFO* info = sk_X509_INFO_value(infos.get(), i);
    if (info->x509 != nullptr) bundle.certificates.emplace_back(std::exchange(info->x509, nullptr));
    if (info->crl != nullptr) bundle.crls.emplace_back(std::exchange(info->crl, nullptr));
  }
  if (bundle.certificates.empty()) return refused(field, "holds no certificate");
  return bundle;
}

absl::StatusOr<std::vector<CrlHandle>> load_crls(std::string_view pem) {
  prepare_openssl();
  const BioHandle in = reading(pem);
  const InfoStack infos(PEM_X509_INFO_read_bio(in.get(), nullptr, nullptr, nullptr));
  if (infos == nullptr) return refused("crl", take_last_error());
  ERR_clear_error();
  std::vector<CrlHandle> crls;
  for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
    X509_INFO* info = sk_X509_INFO_value(infos.get(), i);
    if (info->crl != nullptr) crls.emplace_back(std::exchange(info->crl, nullptr));
  }
  if (crls.empty()) return refused("crl", "holds no revocation list");
  return crls;
}

absl::StatusOr<Bundle> load_system_roots() {
  for (const char* path : kSystemBundles) {
    std::ifstream file(path, std::ios::binary);
    if (!file) continue;
    const std::string pem{std::istreambuf_iterator<char>(file), {}};
    return load_bundle(pem, absl::StrCat("system_root_certs (", path, ")"));
  }
  return refused("system_root_certs", "this system has no bundle of root certificates");
}

}  // namespace remora::tls
