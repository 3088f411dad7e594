// OpenSSL's error queue as text. The queue belongs to the thread that made the failing call.
#include "proxy/tls/openssl_handles.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

namespace remora::tls {
namespace {

std::string_view or_empty(const char* text) { return text == nullptr ? std::string_view() : text; }

/// "certificate verify failed" as Envoy's library writes it: CERTIFICATE_VERIFY_FAILED.
std::string reason_of(unsigned long error) {
  std::string reason(or_empty(ERR_reason_error_string(error)));
  for (char& c : reason) c = c == ' ' ? '_' : absl::ascii_toupper(static_cast<unsigned char>(c));
  return reason;
}

}  // namespace

void prepare_openssl() { OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr); }

std::string take_last_error() {
  const unsigned long error = ERR_peek_last_error();
  std::string text(or_empty(ERR_reason_error_string(error)));
  ERR_clear_error();
  return text.empty() ? "unreadable" : text;
}

QueuedErrors take_errors() {
  QueuedErrors errors;
  bool other = false;
  const char* file;
  const char* function;
  const char* data;
  int line;
  int flags;
  while (const unsigned long error = ERR_get_error_all(&file, &line, &function, &data, &flags)) {
    errors.any = true;
    if (ERR_SYSTEM_ERROR(error)) {
      errors.system_only = true;
    } else {
      other = true;
    }
    if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
      const int reason = ERR_GET_REASON(error);
      errors.verify_failed |= reason == SSL_R_CERTIFICATE_VERIFY_FAILED;
      errors.no_peer_certificate |= reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE;
    }
    absl::StrAppend(&errors.text, "|", error, ":", or_empty(ERR_lib_error_string(error)).data(),
                    ":", or_empty(function).data(), ":", reason_of(error));
  }
  if (other) errors.system_only = false;
  return errors;
}

}  // namespace remora::tls
