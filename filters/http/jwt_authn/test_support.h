// For tests of the filter: tokens signed with a shared secret, providers that trust it, and a
// stream.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "filters/http/jwt_authn/settings.h"
#include "proxy/base/base64.h"

namespace remora::jwt::testing {

inline std::string base64url(std::string_view bytes) {
  std::string out = encode_base64(bytes);
  while (out.ends_with('=')) out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

/// HS256 under `secret`.
inline std::string signed_token(std::string_view payload, std::string_view secret = "secret") {
  const std::string text = base64url(R"({"alg":"HS256"})") + "." + base64url(payload);
  std::array<unsigned char, 32> mac;
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  return text + "." + base64url({reinterpret_cast<const char*>(mac.data()), size});
}

inline std::shared_ptr<const tls::KeySet> keys_of(std::string_view secret = "secret") {
  return *tls::KeySet::parse(R"({"keys":[{"kty":"oct","k":")" + base64url(secret) + R"("}]})");
}

/// A provider named as its issuer, looked for in header "x-NAME".
inline std::unique_ptr<Provider> provider(std::string name) {
  auto out = std::make_unique<Provider>();
  out->name = out->issuer = std::move(name);
  out->local_keys = keys_of();
  return out;
}

inline Requirement of_provider(const Provider& provider) {
  Requirement out;
  out.kind = Requirement::Kind::Provider;
  out.provider = &provider;
  out.places.add(PlaceKind::Header, "x-" + provider.name, "", provider.issuer);
  return out;
}

/// Hears which keys are asked for.
class FakeFetcher final : public upstream::RemoteKeysFetcher {
 public:
  void ask(std::weak_ptr<upstream::RemoteKeys>) override { ++asked; }
  int asked = 0;
};

}  // namespace remora::jwt::testing
