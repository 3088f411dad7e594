// A peer's certificate before anything about it was verified: reading it, judging it and what a
// session remembers of it must take any bytes. What is trusted must lead to the root, which no
// input does.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/tls/names.h"
#include "proxy/tls/test_certificates.h"
#include "proxy/tls/tickets.h"
#include "proxy/tls/validator.h"

namespace {

using namespace remora::tls;  // NOLINT: a fuzz target is a file of its own

Validator make_validator() {
  Validation rules;
  rules.ca_pem = test::Issued::root().pem();
  rules.sans.resize(2);
  rules.sans[0].type = SanMatch::Type::Dns;
  rules.sans[0].match.text = "a.test";
  rules.sans[1].type = SanMatch::Type::OtherName;
  rules.sans[1].oid = "1.3.6.1.4.1.311.20.2.3";
  return *Validator::make(&rules);
}

void judge(X509& leaf, STACK_OF(X509) * chain) {
  static const Validator validator = make_validator();
  const ReadCertificate read = read_certificate(leaf);
  for (const std::string& name : read.identity.dns_sans) {
    if (name.find('\0') != std::string::npos) abort();
  }
  ValidationRequest request;
  request.required_name = "a.test";
  if (validator.verify({&leaf, chain, &read}, request).accepted) abort();
  validator.verify_names({&leaf, chain, &read}, request);
  other_names(leaf, "1.3.6.1.4.1.311.20.2.3");
  spki_sha256_of(leaf);
  common_name_of(leaf);
  url_encoded_pem_of(leaf);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const X509Stack chain = chain_of(bytes);
  if (sk_X509_num(chain.get()) > 0) judge(*sk_X509_value(chain.get(), 0), chain.get());
  const auto note = decode_session_note(bytes);
  if (note && note->chain_der.size() < 12000 && encode(*note).size() != size) abort();
  return 0;
}
