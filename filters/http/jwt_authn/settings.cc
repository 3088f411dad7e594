#include "filters/http/jwt_authn/settings.h"

#include <algorithm>

namespace remora::jwt {

std::string_view Audiences::bare(std::string_view audience) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (!audience.starts_with(scheme)) continue;
    audience.remove_prefix(scheme.size());
    break;
  }
  if (audience.ends_with('/')) audience.remove_suffix(1);
  return audience;
}

bool Audiences::allow(const std::vector<std::string>& of_token) const {
  return empty() || std::ranges::any_of(of_token, [&](const std::string& audience) {
           return allowed_.contains(bare(audience));
         });
}

const Provider* Settings::provider_of(std::string_view issuer) const {
  auto at = by_issuer.find(issuer);
  if (at == by_issuer.end()) at = by_issuer.find(std::string_view());
  return at == by_issuer.end() ? nullptr : at->second;
}

}  // namespace remora::jwt
