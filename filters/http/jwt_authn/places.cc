// Order and leniency are Envoy's: cookies come first, then parameters, then headers.
#include "filters/http/jwt_authn/places.h"

#include <algorithm>
#include <tuple>

#include "proxy/http/cookies.h"

namespace remora::jwt {
namespace {

using http::HeaderEntry;
using http::HeaderId;
using http::HeaderMap;

constexpr std::string_view kTokenCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Escapes that are none stand for themselves. Copies only when there is an escape.
std::string_view percent_decoded(std::string_view text, Arena& arena) {
  if (text.find('%') == std::string_view::npos) return text;
  char* out = static_cast<char*>(arena.allocate(text.size(), 1));
  size_t size = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && text.size() - i > 2 && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      out[size++] = static_cast<char>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
      i += 2;
    } else {
      out[size++] = text[i];
    }
  }
  return {out, size};
}

struct Parameter {
  std::string_view whole, name, value;
};

/// Calls f with each parameter of a query.
template <class F>
void for_each_parameter(std::string_view query, F f) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view whole = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (whole.empty()) continue;
    const size_t equals = std::min(whole.find('='), whole.size());
    f(Parameter{whole, whole.substr(0, equals), whole.substr(std::min(equals + 1, whole.size()))});
  }
}

std::string_view query_of(std::string_view path) {
  const size_t mark = path.find('?');
  return mark == std::string_view::npos ? std::string_view() : path.substr(mark + 1);
}

class Finder {
 public:
  Finder(const HeaderMap& request, std::vector<FoundToken>& found)
      : request_(request), found_(found) {}

  void look_at(const Place& place) {
    switch (place.kind) {
      case PlaceKind::Header:
        return headers(place);
      case PlaceKind::Parameter:
        return parameters(place);
      case PlaceKind::Cookie:
        return cookies(place);
    }
  }

 private:
  void headers(const Place& place) {
    // Several of these are one list to whoever reads them next.
    if (place.name == http::header_name(HeaderId::Authorization)) {
      if (const auto value = request_.joined(place.name)) header(place, *value);
      return;
    }
    const HeaderId id = http::header_id_of(place.name);
    for (const HeaderEntry& entry : request_.entries()) {
      if (entry.removed || entry.id != id || entry.name != place.name) continue;
      header(place, entry.value);
    }
  }

  void header(const Place& place, std::string_view value) {
    if (!place.value_prefix.empty()) {
      const size_t at = value.find(place.value_prefix);
      if (at == std::string_view::npos) return;
      const size_t begin = value.find_first_of(kTokenCharacters, at + place.value_prefix.size());
      if (begin != std::string_view::npos) value.remove_prefix(begin);
    }
    found_.push_back({&place, value});
  }

  void parameters(const Place& place) {
    for_each_parameter(query_of(request_.path()), [&](const Parameter& parameter) {
      Arena& arena = request_.arena();
      if (percent_decoded(parameter.name, arena) != place.name) return;
      found_.push_back({&place, percent_decoded(parameter.value, arena)});
    });
  }

  void cookies(const Place& place) {
    http::for_each_cookie(request_, [&](std::string_view name, std::string_view value) {
      if (name == place.name) found_.push_back({&place, value});
      return true;
    });
  }

  const HeaderMap& request_;
  std::vector<FoundToken>& found_;
};

void remove_parameters(std::string_view name, HeaderMap& request) {
  const std::string_view path = request.path();
  const size_t mark = path.find('?');
  if (mark == std::string_view::npos) return;
  Arena& arena = request.arena();
  std::string kept;
  for_each_parameter(path.substr(mark + 1), [&](const Parameter& parameter) {
    if (percent_decoded(parameter.name, arena) == name) return;
    kept += kept.empty() ? '?' : '&';
    kept += parameter.whole;
  });
  request.set(HeaderId::Path, arena.join(path.substr(0, mark), kept));
}

}  // namespace

bool Place::allows(std::string_view issuer) const {
  return any_issuer || std::ranges::find(issuers, issuer) != issuers.end();
}

void Places::add(PlaceKind kind, std::string_view name, std::string_view value_prefix,
                 std::string_view issuer) {
  const auto key = [](const Place& place) {
    return std::tuple(place.kind, std::string_view(place.name),
                      std::string_view(place.value_prefix));
  };
  const auto wanted = std::tuple(kind, name, value_prefix);
  auto at = std::ranges::lower_bound(places_, wanted, {}, key);
  if (at == places_.end() || key(*at) != wanted) {
    at = places_.insert(at, {kind, std::string(name), std::string(value_prefix), false, {}});
  }
  if (issuer.empty()) {
    at->any_issuer = true;
  } else {
    at->issuers.emplace_back(issuer);
  }
}

std::vector<FoundToken> Places::find(const HeaderMap& request) const {
  std::vector<FoundToken> found;
  Finder finder(request, found);
  for (const Place& place : places_) finder.look_at(place);
  std::ranges::reverse(found);
  return found;
}

void remove_tokens(const Place& place, HeaderMap& request) {
  switch (place.kind) {
    case PlaceKind::Header:
      request.remove(place.name);
      break;
    case PlaceKind::Parameter:
      remove_parameters(place.name, request);
      break;
    case PlaceKind::Cookie:
      break;
  }
}

}  // namespace remora::jwt
