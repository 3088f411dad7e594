// Secrets are overwritten before their memory goes back to the allocator. Any thread.
#include "proxy/tls/secret.h"

#include <openssl/crypto.h>

#include <utility>

namespace remora::tls {
namespace {

void wipe(std::string& bytes) {
  // What the string once held beyond its present size is wiped too.
  bytes.resize(bytes.capacity());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  bytes.clear();
}

}  // namespace

// A short text lies inside the string: moving copies it.
Sensitive::Sensitive(Sensitive&& other) noexcept : bytes_(std::move(other.bytes_)) {
  wipe(other.bytes_);
}

Sensitive& Sensitive::operator=(Sensitive other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Sensitive::~Sensitive() { wipe(bytes_); }

}  // namespace remora::tls
