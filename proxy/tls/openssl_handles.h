// Owning handles for OpenSSL's objects, and its error queue as text. Inside proxy/tls only; any
// thread.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace remora::tls {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

template <class T, auto Free>
using Handle = std::unique_ptr<T, FreeWith<Free>>;

inline void free_certificates(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }
inline void free_infos(STACK_OF(X509_INFO) * stack) {
  sk_X509_INFO_pop_free(stack, X509_INFO_free);
}
inline void free_names(STACK_OF(X509_NAME) * stack) {
  sk_X509_NAME_pop_free(stack, X509_NAME_free);
}

using BioHandle = Handle<BIO, BIO_free_all>;
using BioMethodHandle = Handle<BIO_METHOD, BIO_meth_free>;
using KeyHandle = Handle<EVP_PKEY, EVP_PKEY_free>;
using X509Handle = Handle<X509, X509_free>;
using X509Stack = Handle<STACK_OF(X509), free_certificates>;
using InfoStack = Handle<STACK_OF(X509_INFO), free_infos>;
using NameStack = Handle<STACK_OF(X509_NAME), free_names>;
using CrlHandle = Handle<X509_CRL, X509_CRL_free>;
using StoreHandle = Handle<X509_STORE, X509_STORE_free>;
using StoreContextHandle = Handle<X509_STORE_CTX, X509_STORE_CTX_free>;
using GeneralNames = Handle<GENERAL_NAMES, GENERAL_NAMES_free>;
using SslContextHandle = Handle<SSL_CTX, SSL_CTX_free>;
using SslHandle = Handle<SSL, SSL_free>;
using SessionHandle = Handle<SSL_SESSION, SSL_SESSION_free>;

inline X509Handle share(X509* certificate) {
  X509_up_ref(certificate);
  return X509Handle(certificate);
}

/// A memory BIO over `text`, which outlives it.
inline BioHandle reading(std::string_view text) {
  return BioHandle(BIO_new_mem_buf(text.empty() ? "" : text.data(), static_cast<int>(text.size())));
}

/// OpenSSL made ready without its configuration file: what a host's administrator wrote there for
/// other programs must not change what the mesh accepts.
void prepare_openssl();

/// The newest error as words ("bad decrypt"), and an empty queue afterwards.
std::string take_last_error();

/// What a failed handshake, read or write left in the queue.
struct QueuedErrors {
  std::string text;  // "|167772294:SSL routines:FUNCTION:CERTIFICATE_VERIFY_FAILED" per error
  bool verify_failed = false;
  bool no_peer_certificate = false;
  bool system_only = false;  // nothing but system calls failed
  bool any = false;
};
QueuedErrors take_errors();

}  // namespace remora::tls
