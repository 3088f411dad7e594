// Vectors of RFC 7515 appendix A and RFC 8037 appendix A; keys made here for what they leave out.
#include "proxy/tls/jwk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "proxy/base/base64.h"

namespace remora::tls {
namespace {

using Verdict = KeySet::Verdict;
using ::testing::HasSubstr;

constexpr std::string_view kClaims =
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
    "Q";
constexpr std::string_view kModulus =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
    "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"
    "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
    "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"
    "DWNmoudF8NAco9_"
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
constexpr std::string_view kRsaSignature =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbd"
    "s9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar"
    "ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9"
    "Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
constexpr std::string_view kSecret =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

std::string quoted(std::string_view name, std::string_view value) {
  return "\"" + std::string(name) + "\":\"" + std::string(value) + "\"";
}
std::string rsa_jwk(std::string_view more = "") {
  return "{" + quoted("kty", "RSA") + "," + quoted("n", kModulus) + "," + quoted("e", "AQAB") +
         std::string(more) + "}";
}
std::string secret_jwk(std::string_view more = "") {
  return "{" + quoted("kty", "oct") + "," + quoted("k", kSecret) + std::string(more) + "}";
}
std::string set_of(const std::string& keys) { return "{\"keys\":[" + keys + "]}"; }

std::shared_ptr<const KeySet> parse(const std::string& text) {
  auto set = KeySet::parse(text);
  EXPECT_TRUE(set.ok()) << set.status();
  return set.ok() ? *set : nullptr;
}

std::string decoded(std::string_view text) { return decode_base64url(text).value_or("?"); }

std::string with_header(std::string_view header) {
  return std::string(header) + std::string(kClaims);
}

TEST(JwkTest, VerifiesAnHmacOfRfc7515) {
  auto set = parse(set_of(secret_jwk()));
  const std::string message = with_header("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9");
  const std::string signature = decoded("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  EXPECT_EQ(set->verify("HS256", "", message, signature), Verdict::Verified);
  EXPECT_EQ(set->verify("HS384", "", message, signature), Verdict::Failed);
  EXPECT_EQ(set->verify("HS256", "", message, signature.substr(0, 31)), Verdict::Failed);
  EXPECT_EQ(set->verify("HS256", "", message, ""), Verdict::Failed);
  EXPECT_EQ(set->verify("HS256", "", message + "x", signature), Verdict::Failed);
}

TEST(JwkTest, VerifiesAnRsaSignatureOfRfc7515) {
  auto set = parse(set_of(rsa_jwk()));
  const std::string message = with_header("eyJhbGciOiJSUzI1NiJ9");
  const std::string signature = decoded(kRsaSignature);
  EXPECT_EQ(set->verify("RS256", "", message, signature), Verdict::Verified);
  EXPECT_EQ(set->verify("RS384", "", message, signature), Verdict::Failed);
  EXPECT_EQ(set->verify("PS256", "", message, signature), Verdict::Failed);
  EXPECT_EQ(set->verify("RS256", "", message, signature.substr(1)), Verdict::Failed);
  EXPECT_EQ(set->verify("RS256", "", message, signature + '\0'), Verdict::Failed);
}

TEST(JwkTest, VerifiesEcdsaSignaturesOfRfc7515) {
  auto p256 = parse(set_of(
      R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})"));
  const std::string message = with_header("eyJhbGciOiJFUzI1NiJ9");
  const std::string signature = decoded(
      "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
  EXPECT_EQ(p256->verify("ES256", "", message, signature), Verdict::Verified);
  EXPECT_EQ(p256->verify("ES384", "", message, signature), Verdict::Failed);
  EXPECT_EQ(p256->verify("ES256", "", message, signature.substr(0, 63)), Verdict::Failed);
  EXPECT_EQ(p256->verify("ES256", "", message, std::string(64, '\0')), Verdict::Failed);
  std::string padded = signature;
  padded.insert(32, 1, '\0');
  padded.insert(0, 1, '\0');
  EXPECT_EQ(p256->verify("ES256", "", message, padded), Verdict::Failed)
      << "one signature has one spelling";

  auto p521 = parse(set_of(
      R"({"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"})"));
  EXPECT_EQ(
      p521->verify(
          "ES512", "", "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA",
          decoded(
              "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-"
              "KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNr"
              "mxYbSW9ERBXukOXolLzeO_Jn")),
      Verdict::Verified);
}

TEST(JwkTest, VerifiesAnEd25519SignatureOfRfc8037) {
  auto set = parse(
      set_of(R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"));
  const std::string message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
  std::string signature = decoded(
      "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
  EXPECT_EQ(set->verify("EdDSA", "", message, signature), Verdict::Verified);
  EXPECT_EQ(set->verify("EdDSA", "", message, signature.substr(1)), Verdict::WrongLength);
  signature[5] ^= 1;
  EXPECT_EQ(set->verify("EdDSA", "", message, signature), Verdict::Failed);
}

TEST(JwkTest, APublicKeyIsNoSecret) {
  // The old attack: an HMAC whose secret is what everybody knows.
  auto set = parse(set_of(rsa_jwk() + "," + secret_jwk(R"(,"kid":"other")")));
  EXPECT_EQ(set->verify("HS256", "key", "message", "signature"), Verdict::Failed);
  EXPECT_EQ(set->verify("none", "", "message", ""), Verdict::NoKey);
  EXPECT_EQ(set->verify("", "", "message", ""), Verdict::NoKey);
}

TEST(JwkTest, TheKeyIdAndTheAlgorithmMustFit) {
  auto set =
      parse(set_of(rsa_jwk(R"(,"kid":"a","alg":"RS256")") + "," + secret_jwk(R"(,"kid":"b")")));
  const std::string message = with_header("eyJhbGciOiJSUzI1NiJ9");
  const std::string signature = decoded(kRsaSignature);
  EXPECT_EQ(set->verify("RS256", "a", message, signature), Verdict::Verified);
  EXPECT_EQ(set->verify("RS256", "", message, signature), Verdict::Verified);
  EXPECT_EQ(set->verify("RS256", "b", message, signature), Verdict::Failed);
  EXPECT_EQ(set->verify("RS256", "c", message, signature), Verdict::NoKey);
  EXPECT_EQ(set->verify("RS512", "a", message, signature), Verdict::NoKey);
}

struct KeyPair {
  EVP_PKEY* key;
  explicit KeyPair(EVP_PKEY* made) : key(made) {}
  ~KeyPair() { EVP_PKEY_free(key); }
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;

  std::string number(const char* name) const {
    BIGNUM* value = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(key, name, &value), 1);
    std::string bytes(static_cast<size_t>(BN_num_bytes(value)), '\0');
    BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
    BN_free(value);
    return bytes;
  }
  std::string sign(const EVP_MD* digest, int padding, std::string_view message) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* parameters = nullptr;
    EXPECT_EQ(EVP_DigestSignInit(context, &parameters, digest, nullptr, key), 1);
    if (padding == RSA_PKCS1_PSS_PADDING) {
      EVP_PKEY_CTX_set_rsa_padding(parameters, padding);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
    size_t size = 0;
    EVP_DigestSign(context, nullptr, &size, bytes, message.size());
    std::string out(size, '\0');
    EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, bytes,
                             message.size()),
              1);
    out.resize(size);
    EVP_MD_CTX_free(context);
    return out;
  }
};

TEST(SignatureTest, RsaServesItsSixAlgorithms) {
  KeyPair pair(EVP_RSA_gen(2048));
  auto key = VerificationKey::rsa(pair.number("n"), pair.number("e"));
  ASSERT_TRUE(key);
  struct Case {
    const char* name;
    const EVP_MD* digest;
    int padding;
  };
  const std::vector<Case> cases = {{"RS256", EVP_sha256(), RSA_PKCS1_PADDING},
                                   {"RS384", EVP_sha384(), RSA_PKCS1_PADDING},
                                   {"RS512", EVP_sha512(), RSA_PKCS1_PADDING},
                                   {"PS256", EVP_sha256(), RSA_PKCS1_PSS_PADDING},
                                   {"PS384", EVP_sha384(), RSA_PKCS1_PSS_PADDING},
                                   {"PS512", EVP_sha512(), RSA_PKCS1_PSS_PADDING}};
  for (const Case& made : cases) {
    const std::string signature = pair.sign(made.digest, made.padding, "message");
    for (const Case& read : cases) {
      EXPECT_EQ(key->verifies(*signature_algorithm(read.name), "message", signature),
                &made == &read)
          << made.name << " as " << read.name;
    }
  }
}

TEST(SignatureTest, P384ServesEs384) {
  KeyPair pair(EVP_EC_gen("P-384"));
  auto key = VerificationKey::ec(KeyType::P384, pair.number(OSSL_PKEY_PARAM_EC_PUB_X),
                                 pair.number(OSSL_PKEY_PARAM_EC_PUB_Y));
  ASSERT_TRUE(key);
  const std::string der = pair.sign(EVP_sha384(), 0, "message");
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* both = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
  std::string raw(96, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(both), reinterpret_cast<unsigned char*>(raw.data()), 48);
  BN_bn2binpad(ECDSA_SIG_get0_s(both), reinterpret_cast<unsigned char*>(raw.data()) + 48, 48);
  ECDSA_SIG_free(both);
  EXPECT_TRUE(key->verifies(SignatureAlgorithm::ES384, "message", raw));
  EXPECT_FALSE(key->verifies(SignatureAlgorithm::ES384, "message", der))
      << "DER is not how tokens write it";
  EXPECT_FALSE(key->verifies(SignatureAlgorithm::ES256, "message", raw));
}

TEST(SignatureTest, RefusesKeysThatAreNone) {
  KeyPair weak(EVP_RSA_gen(512));
  EXPECT_FALSE(VerificationKey::rsa(weak.number("n"), weak.number("e")));
  EXPECT_FALSE(VerificationKey::rsa("", ""));
  EXPECT_FALSE(VerificationKey::rsa(std::string(128, '\xff'), "\x02"));
  EXPECT_FALSE(VerificationKey::rsa(std::string(4096, '\xff'), "\x03"));
  EXPECT_FALSE(VerificationKey::ec(KeyType::P256, "1", "1")) << "not on the curve";
  EXPECT_FALSE(VerificationKey::ec(KeyType::P256, std::string(33, '1'), "1"));
  EXPECT_FALSE(VerificationKey::ec(KeyType::Rsa, "1", "1"));
  EXPECT_FALSE(VerificationKey::ed25519("short"));
  EXPECT_FALSE(VerificationKey::secret(""));
}

TEST(JwkTest, LeavesOutKeysThatCannotBeUsed) {
  auto set = parse(set_of(
      R"({"kty":"RSA"},{"kty":"new"},{},7,{"kty":"OKP","crv":"X25519","x":"AA"},)" +
      rsa_jwk(R"(,"alg":"ES256")") + "," + secret_jwk(R"(,"alg":"RS256")") + "," + rsa_jwk()));
  EXPECT_EQ(set->size(), 1u);
}

TEST(JwkTest, RefusesASetWithoutKeys) {
  EXPECT_THAT(KeySet::parse("").status().message(), HasSubstr("invalid JSON"));
  EXPECT_THAT(KeySet::parse("[]").status().message(), HasSubstr("invalid JSON"));
  EXPECT_THAT(KeySet::parse("{}").status().message(), HasSubstr("does not have [keys]"));
  EXPECT_THAT(KeySet::parse(R"({"keys":{}})").status().message(), HasSubstr("not an array"));
  EXPECT_THAT(KeySet::parse(R"({"keys":[]})").status().message(),
              HasSubstr("any valid public key"));
  std::string many = "7";
  for (size_t i = 0; i < kMaxKeys; ++i) many += ",7";
  EXPECT_THAT(KeySet::parse(set_of(many)).status().message(), HasSubstr("too many"));
  EXPECT_THAT(KeySet::parse(std::string(kMaxKeySetBytes + 1, ' ')).status().message(),
              HasSubstr("too long"));
}

TEST(JwkTest, ReadsCertificatesByKeyId) {
  KeyPair pair(EVP_RSA_gen(2048));
  X509* certificate = X509_new();
  X509_set_pubkey(certificate, pair.key);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_sign(certificate, pair.key, EVP_sha256());
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  char* bytes = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(bio, &bytes));
  std::string pem;
  for (char c : std::string_view(bytes, size))
    pem += c == '\n' ? std::string("\\n") : std::string(1, c);
  BIO_free(bio);
  X509_free(certificate);

  auto set = parse("{" + quoted("kid", pem) + "}");
  const std::string signature = pair.sign(EVP_sha256(), RSA_PKCS1_PADDING, "message");
  EXPECT_EQ(set->verify("RS256", "kid", "message", signature), Verdict::Verified);
  EXPECT_EQ(set->verify("RS256", "other", "message", signature), Verdict::NoKey);
  EXPECT_FALSE(
      KeySet::parse(
          "{" + quoted("kid", "-----BEGIN CERTIFICATE-----\\nAA\\n-----END CERTIFICATE-----\\n") +
          "}")
          .ok());
}

}  // namespace
}  // namespace remora::tls
