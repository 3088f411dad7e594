// Where tokens are in a request: headers, query parameters, cookies; and how they are taken out of
// it again. Immutable; compiled on the main thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/header_map.h"

namespace remora::jwt {

enum class PlaceKind : uint8_t { Header, Parameter, Cookie };

struct Place {
  PlaceKind kind = PlaceKind::Header;
  std::string name;          // of a header: lower case
  std::string value_prefix;  // of a header's value, "Bearer "
  bool any_issuer = false;   // some provider that looks here takes every issuer
  std::vector<std::string> issuers;

  bool allows(std::string_view issuer) const;
};

struct FoundToken {
  const Place* place = nullptr;
  std::string_view text;  // lives as long as the request's arena
};

/// The places of one provider or of several, each place once.
class Places {
 public:
  /// `issuer` is looked for there; empty: every issuer.
  void add(PlaceKind kind, std::string_view name, std::string_view value_prefix,
           std::string_view issuer);

  /// Every token that is there, in the order in which they are verified. A place that has several
  /// has them all looked at, as nobody knows which one the next reader takes.
  std::vector<FoundToken> find(const http::HeaderMap& request) const;

 private:
  std::vector<Place> places_;  // sorted
};

/// Takes the tokens of `place` out of the request. Cookies stay.
void remove_tokens(const Place& place, http::HeaderMap& request);

}  // namespace remora::jwt
