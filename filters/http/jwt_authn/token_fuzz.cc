// A request with tokens anywhere, from outside: no crash, and nothing but a token that the key has
// signed is let in. The first line of the input is a path, the second a header, the rest a cookie.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "filters/http/jwt_authn/verification.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora;
  using namespace remora::jwt;
  static const auto* keys = new auto(*tls::KeySet::parse(
      R"({"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})"));
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto line = [&] {
    const std::string_view first = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(first.size() == rest.size() ? first.size() : first.size() + 1);
    return first;
  };
  BlockPool pool;
  Arena arena{pool};
  http::HeaderMap request{arena};
  request.set(http::HeaderId::Path, line());
  request.add("authorization", line());
  request.add("cookie", rest);

  Settings settings;
  Provider provider;
  provider.local_keys = *keys;
  provider.payload_header = "x-payload";
  provider.claim_headers.push_back({{"sub"}, "x-sub"});
  provider.payload_in_metadata = "payload";
  provider.space_delimited_claims = {"scope"};
  Requirement requirement;
  requirement.kind = Requirement::Kind::Provider;
  requirement.provider = &provider;
  requirement.places.add(PlaceKind::Header, "authorization", "Bearer ", "");
  requirement.places.add(PlaceKind::Parameter, "access_token", "", "");
  requirement.places.add(PlaceKind::Cookie, "token", "", "");

  Metadata metadata;
  Verification verification(settings, request, metadata, {1'000'000, 0}, 0, {});
  const bool let_in = verification.run(requirement) == Status::Ok;
  if (let_in && request.find("x-payload") == nullptr) std::abort();
  for (const http::HeaderEntry& entry : request.entries()) {
    if (entry.name == "x-sub" && entry.value.find_first_of("\r\n") != std::string_view::npos)
      std::abort();
  }
  return 0;
}
