// Reads certificates. Everything here comes from the network before anything about it was verified.
#include "proxy/tls/certificate_identity.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <limits>
#include <optional>

namespace remora::tls {
namespace {

struct FreeText {
  void operator()(void* text) const { OPENSSL_free(text); }
};
template <class T>
using Text = std::unique_ptr<T, FreeText>;

std::string_view bytes_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<size_t>(size)) : std::string();
}

std::string name_text(const X509_NAME* name) {
  const BioHandle out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  return text_of(out.get());
}

std::string serial_text(const X509& certificate) {
  const Handle<BIGNUM, BN_free> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  if (number == nullptr) return {};
  const Text<char> hex(BN_bn2hex(number.get()));
  if (hex == nullptr) return {};
  std::string text = hex.get();
  for (char& c : text) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string digest_of(const X509& certificate, const EVP_MD* kind) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(&certificate, kind, digest, &size) != 1) return {};
  return {reinterpret_cast<const char*>(digest), size};
}

std::optional<int64_t> unix_time(const ASN1_TIME* time) {
  const Handle<ASN1_TIME, ASN1_TIME_free> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (epoch == nullptr || ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) {
    return std::nullopt;
  }
  return int64_t{days} * 86400 + seconds;
}

std::string ip_text(const ASN1_OCTET_STRING* address) {
  const int size = ASN1_STRING_length(address);
  char text[INET6_ADDRSTRLEN];
  if (size != 4 && size != 16) return {};
  if (inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text,
                sizeof(text)) == nullptr) {
    return {};
  }
  return text;
}

/// Whether the name could be read as meant.
bool add_name(const GENERAL_NAME& name, CertificateIdentity& out) {
  const ASN1_STRING* text = nullptr;
  std::vector<std::string>* into = nullptr;
  switch (name.type) {
    case GEN_DNS:
      text = name.d.dNSName;
      into = &out.dns_sans;
      break;
    case GEN_URI:
      text = name.d.uniformResourceIdentifier;
      into = &out.uri_sans;
      break;
    case GEN_EMAIL:
      text = name.d.rfc822Name;
      into = &out.email_sans;
      break;
    case GEN_IPADD: {
      std::string address = ip_text(name.d.iPAddress);
      if (address.empty()) return false;
      out.ip_sans.push_back(std::move(address));
      return true;
    }
    default:
      return true;
  }
  const std::string_view bytes = bytes_of(text);
  if (bytes.find('\0') != std::string_view::npos) return false;
  into->emplace_back(bytes);
  return true;
}

/// The extension's names; null with `*malformed` false when there is none.
GeneralNames names_of(const X509& certificate, bool* malformed) {
  int how = 0;
  GeneralNames names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, &how, nullptr)));
  // -1: there is none; -2: more than one; otherwise it is there and does not parse.
  *malformed = names == nullptr && how != -1;
  return names;
}

std::string other_name_text(const ASN1_TYPE& value) {
  switch (value.type) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_VISIBLESTRING:
    case V_ASN1_GENERALSTRING:
    case V_ASN1_T61STRING:
    case V_ASN1_OCTET_STRING:
    case V_ASN1_BIT_STRING:
    case V_ASN1_SEQUENCE:
    case V_ASN1_SET:
    case V_ASN1_UTCTIME:
    case V_ASN1_GENERALIZEDTIME:
      return std::string(bytes_of(value.value.asn1_string));
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING: {
      unsigned char* utf8 = nullptr;
      const int size = ASN1_STRING_to_UTF8(&utf8, value.value.asn1_string);
      const Text<unsigned char> owned(utf8);
      return size > 0 ? std::string(reinterpret_cast<char*>(utf8), static_cast<size_t>(size)) : "";
    }
    case V_ASN1_BOOLEAN:
      return value.value.boolean ? "true" : "false";
    case V_ASN1_INTEGER:
    case V_ASN1_ENUMERATED: {
      const Handle<BIGNUM, BN_free> number(
          value.type == V_ASN1_INTEGER ? ASN1_INTEGER_to_BN(value.value.integer, nullptr)
                                       : ASN1_ENUMERATED_to_BN(value.value.enumerated, nullptr));
      const Text<char> text(number == nullptr ? nullptr : BN_bn2dec(number.get()));
      return text == nullptr ? "" : text.get();
    }
    case V_ASN1_OBJECT: {
      char text[256];
      const int size = OBJ_obj2txt(text, sizeof(text), value.value.object, 1);
      return size > 0 && size < static_cast<int>(sizeof(text)) ? text : "";
    }
    default:
      return {};
  }
}

}  // namespace

ReadCertificate read_certificate(X509& certificate) {
  ReadCertificate read;
  CertificateIdentity& identity = read.identity;
  const GeneralNames names = names_of(certificate, &read.malformed_names);
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    if (!add_name(*sk_GENERAL_NAME_value(names.get(), i), identity)) read.malformed_names = true;
  }
  if (read.malformed_names) identity = CertificateIdentity();
  identity.subject = name_text(X509_get_subject_name(&certificate));
  identity.issuer = name_text(X509_get_issuer_name(&certificate));
  identity.serial = serial_text(certificate);
  identity.sha256_fingerprint = to_hex(sha256_of(certificate));
  identity.sha1_fingerprint = to_hex(digest_of(certificate, EVP_sha1()));
  identity.not_before_s = unix_time(X509_get0_notBefore(&certificate)).value_or(0);
  identity.not_after_s = unix_time(X509_get0_notAfter(&certificate)).value_or(0);
  return read;
}

std::string sha256_of(const X509& certificate) { return digest_of(certificate, EVP_sha256()); }

std::string spki_sha256_of(const X509& certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(&certificate), &der);
  const Text<unsigned char> owned(der);
  if (size <= 0) return {};
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(size), digest);
  return {reinterpret_cast<const char*>(digest), sizeof(digest)};
}

std::string to_hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

int64_t not_after_s(const X509& certificate) {
  return unix_time(X509_get0_notAfter(&certificate)).value_or(std::numeric_limits<int64_t>::max());
}

std::vector<std::string> other_names(const X509& certificate, const std::string& oid) {
  std::vector<std::string> values;
  const Handle<ASN1_OBJECT, ASN1_OBJECT_free> wanted(OBJ_txt2obj(oid.c_str(), 0));
  bool malformed = false;
  const GeneralNames names = names_of(certificate, &malformed);
  if (wanted == nullptr || names == nullptr) return values;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_OTHERNAME || name->d.otherName->value == nullptr) continue;
    if (OBJ_cmp(name->d.otherName->type_id, wanted.get()) != 0) continue;
    std::string value = other_name_text(*name->d.otherName->value);
    if (value.find('\0') == std::string::npos) values.push_back(std::move(value));
  }
  return values;
}

std::string common_name_of(const X509& certificate) {
  const X509_NAME* subject = X509_get_subject_name(&certificate);
  const int index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (index < 0) return {};
  return std::string(bytes_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index))));
}

std::string pem_of(X509& certificate) {
  const BioHandle out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(out.get(), &certificate) != 1) return {};
  return text_of(out.get());
}

std::string url_encoded_pem_of(X509& certificate) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : pem_of(certificate)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '.' || byte == '_' ||
                       byte == '~';
    if (plain) {
      encoded.push_back(c);
      continue;
    }
    encoded.push_back('%');
    encoded.push_back(kDigits[byte >> 4]);
    encoded.push_back(kDigits[byte & 15]);
  }
  return encoded;
}

}  // namespace remora::tls
