// A small certificate authority for tests: certificates of every kind of wrong, made as the test
// runs.
#pragma once

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/tls/openssl_handles.h"
#include "proxy/tls/secret.h"

namespace remora::tls::test {

/// What to put into a certificate.
struct Wish {
  std::string common_name = "test";
  std::string sans = "";  // "URI:spiffe://a/b,DNS:x"; empty: no extension
  bool authority = false;
  std::string basic_constraints = "";  // instead of what `authority` implies
  std::string extended_key_usage = "serverAuth,clientAuth";
  std::string key_usage = "";
  int64_t starts_in_s = -3600;
  int64_t ends_in_s = 3600;
  bool rsa = false;
  int rsa_bits = 2048;
  std::string curve = "P-256";
  std::vector<std::pair<int, std::string>> more = {};  // NID and value
  std::string raw_dns_san = "";  // bytes of a DNS name, NUL included; instead of `sans`
};

class Issued {
 public:
  X509* certificate() const { return certificate_.get(); }
  EVP_PKEY* key() const { return key_.get(); }
  std::string pem() const {
    const BioHandle out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(out.get(), certificate_.get());
    return text(out.get());
  }
  std::string key_pem(const std::string& password = "") const {
    const BioHandle out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(out.get(), key_.get(),
                                  password.empty() ? nullptr : EVP_aes_256_cbc(),
                                  password.empty() ? nullptr : password.c_str(),
                                  static_cast<int>(password.size()), nullptr, nullptr);
    return text(out.get());
  }
  /// As a secret; `chain`: intermediates.
  Certificate secret(const std::string& chain = "") const {
    Certificate secret;
    secret.source = "<inline>";
    secret.chain_pem = pem() + chain;
    secret.key_pem = Sensitive(key_pem());
    return secret;
  }

  /// A certificate under this one.
  Issued issue(const Wish& wish) const { return make(wish, this); }
  static Issued root(Wish wish = {.common_name = "root", .authority = true}) {
    return make(wish, nullptr);
  }

  /// A root that shares nothing with the others, not even its name.
  static Issued stranger() { return make({.common_name = "stranger", .authority = true}, nullptr); }

  /// A revocation list of this authority.
  std::string crl(const std::vector<const Issued*>& revoked,
                  int64_t next_update_in_s = 3600) const {
    const CrlHandle crl(X509_CRL_new());
    X509_CRL_set_version(crl.get(), 1);
    X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(certificate_.get()));
    const Handle<ASN1_TIME, ASN1_TIME_free> now(X509_gmtime_adj(nullptr, -60));
    const Handle<ASN1_TIME, ASN1_TIME_free> next(X509_gmtime_adj(nullptr, next_update_in_s));
    X509_CRL_set1_lastUpdate(crl.get(), now.get());
    X509_CRL_set1_nextUpdate(crl.get(), next.get());
    for (const Issued* one : revoked) {
      X509_REVOKED* entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(one->certificate()));
      X509_REVOKED_set_revocationDate(entry, now.get());
      X509_CRL_add0_revoked(crl.get(), entry);
    }
    X509_CRL_sort(crl.get());
    X509_CRL_sign(crl.get(), key_.get(), EVP_sha256());
    const BioHandle out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_CRL(out.get(), crl.get());
    return text(out.get());
  }

  static std::string text(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return {data, static_cast<size_t>(size)};
  }

 private:
  static void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
    if (value.empty()) return;
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    if (extension == nullptr) abort();
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }

  static void add_raw_dns_san(X509* certificate, const std::string& bytes) {
    GENERAL_NAMES* names = GENERAL_NAMES_new();
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, bytes.data(), static_cast<int>(bytes.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, value);
    sk_GENERAL_NAME_push(names, name);
    X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0);
    GENERAL_NAMES_free(names);
  }

  static Issued make(const Wish& wish, const Issued* issuer) {
    static int64_t next_serial = 1000;
    Issued made;
    made.key_.reset(wish.rsa ? EVP_RSA_gen(static_cast<unsigned>(wish.rsa_bits))
                             : EVP_EC_gen(wish.curve.c_str()));
    made.certificate_.reset(X509_new());
    X509* certificate = made.certificate_.get();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), ++next_serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), static_cast<long>(wish.starts_in_s));
    X509_gmtime_adj(X509_getm_notAfter(certificate), static_cast<long>(wish.ends_in_s));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(wish.common_name.c_str()), -1,
                               -1, 0);
    X509* by = issuer == nullptr ? certificate : issuer->certificate();
    X509_set_issuer_name(certificate, X509_get_subject_name(by));
    X509_set_pubkey(certificate, made.key_.get());
    const std::string constraints = wish.authority ? "critical,CA:TRUE" : "";
    extend(certificate, by, NID_basic_constraints,
           wish.basic_constraints.empty() ? constraints : wish.basic_constraints);
    const std::string usage = wish.authority ? "critical,keyCertSign,cRLSign" : "";
    extend(certificate, by, NID_key_usage, wish.key_usage.empty() ? usage : wish.key_usage);
    if (!wish.authority) extend(certificate, by, NID_ext_key_usage, wish.extended_key_usage);
    extend(certificate, by, NID_subject_alt_name, wish.sans);
    for (const auto& [nid, value] : wish.more) extend(certificate, by, nid, value);
    if (!wish.raw_dns_san.empty()) add_raw_dns_san(certificate, wish.raw_dns_san);
    X509_sign(certificate, issuer == nullptr ? made.key_.get() : issuer->key(), EVP_sha256());
    return made;
  }

  X509Handle certificate_;
  KeyHandle key_;
};

}  // namespace remora::tls::test
