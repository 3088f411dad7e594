#include "proxy/router/route_match.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <re2/re2.h>

#include <algorithm>
#include <string>

#include "proxy/http/grpc.h"
#include "proxy/router/context_match.h"

namespace remora::router {
namespace {

absl::string_view absl_view(std::string_view s) { return {s.data(), s.size()}; }
re2::StringPiece piece(std::string_view s) { return {s.data(), s.size()}; }

bool equal(std::string_view a, std::string_view b, bool case_sensitive) {
  return case_sensitive ? a == b : absl::EqualsIgnoreCase(absl_view(a), absl_view(b));
}

bool path_matches(const RouteMatch& match, std::string_view path) {
  const std::string& wanted = match.path;
  switch (match.kind) {
    case RouteMatch::Kind::Prefix:
      return equal(path.substr(0, wanted.size()), wanted, match.case_sensitive);
    case RouteMatch::Kind::Path:
      return equal(path, wanted, match.case_sensitive);
    case RouteMatch::Kind::PathSeparatedPrefix:
      return equal(path.substr(0, wanted.size()), wanted, match.case_sensitive) &&
             (path.size() == wanted.size() || path[wanted.size()] == '/');
    case RouteMatch::Kind::Regex:
      return re2::RE2::FullMatch(piece(path), *match.regex);
    case RouteMatch::Kind::Connect:
      return false;
  }
  return false;
}

}  // namespace

bool HeaderMatch::value_matches(std::string_view value) const {
  if (kind == Kind::String) return string.matches(value);
  int64_t number = 0;
  return absl::SimpleAtoi(absl_view(value), &number) && number >= range_start && number < range_end;
}

bool HeaderMatch::matches(const http::HeaderMap& headers) const {
  const http::HeaderEntry* first = headers.find(name);
  if (kind == Kind::Present) {
    return ((first != nullptr || treat_missing_as_empty) == present) != invert;
  }
  if (first == nullptr) {
    // An absent header satisfies no condition on its value, inverted ones included.
    return treat_missing_as_empty && value_matches({}) != invert;
  }
  if (joined) return value_matches(*headers.joined(name)) != invert;
  // One of several values is enough.
  const auto entries = headers.entries();
  bool any = value_matches(first->value);
  for (const auto* entry = first + 1; !any && entry != entries.data() + entries.size(); ++entry) {
    any = !entry->removed && entry->name == name && value_matches(entry->value);
  }
  return any != invert;
}

std::string_view path_without_query(std::string_view path) {
  path = path.substr(0, path.find('?'));
  return path.substr(0, path.find('#'));
}

std::optional<std::string_view> query_value(std::string_view path, std::string_view name) {
  size_t start = path.find('?');
  if (start == std::string_view::npos) return std::nullopt;
  std::string_view query = path.substr(start + 1);
  query = query.substr(0, query.find('#'));
  while (!query.empty()) {
    size_t end = query.find('&');
    std::string_view pair = query.substr(0, end);
    size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
    }
    if (end == std::string_view::npos) break;
    query.remove_prefix(end + 1);
  }
  return std::nullopt;
}

namespace {

/// What follows ';' goes from every segment.
std::string_view drop_parameters(std::string_view path, Arena& arena) {
  size_t semicolon = path.find(';');
  if (semicolon == std::string_view::npos) return path;
  std::string out;
  while (semicolon != std::string_view::npos) {
    out += path.substr(0, semicolon);
    path.remove_prefix(std::min(path.find('/', semicolon), path.size()));
    semicolon = path.find(';');
  }
  return arena.copy(out += path);
}

}  // namespace

MatchInput::MatchInput(const http::HeaderMap& request, uint64_t random,
                       const http::StreamInfo* info)
    : request(request),
      random(random),
      info(info),
      path(request.path()),
      only_path(path_without_query(path)),
      without_parameters(drop_parameters(only_path, request.arena())),
      has_path(request.has(http::HeaderId::Path)) {}

bool matches(const RouteMatch& match, const MatchInput& input) {
  constexpr uint64_t kMillion = 1'000'000;
  const http::HeaderMap& request = input.request;
  if (match.kind == RouteMatch::Kind::Connect) {
    if (request.method() != "CONNECT") return false;
  } else {
    // A CONNECT request has no path and goes only where it is asked for by name.
    if (!input.has_path) return false;
    if (!path_matches(match,
                      match.ignore_path_parameters ? input.without_parameters : input.only_path)) {
      return false;
    }
  }
  if (match.fraction_per_million && input.random % kMillion >= *match.fraction_per_million) {
    return false;
  }
  if (match.grpc_only && !http::has_grpc_content_type(request)) return false;
  if (!match_all(match.headers, request)) return false;
  for (const QueryMatch& query : match.query) {
    std::optional<std::string_view> value = query_value(input.path, query.name);
    if (value.has_value() != query.present) return false;
    if (query.string && !query.string->matches(*value)) return false;
  }
  return match.context == nullptr ||
         (input.info != nullptr && match.context->matches(request, *input.info));
}

bool match_all(const std::vector<HeaderMatch>& matchers, const http::HeaderMap& request) {
  return std::ranges::all_of(matchers,
                             [&](const HeaderMatch& one) { return one.matches(request); });
}

const VirtualCluster* virtual_cluster_of(const VirtualHost& vhost, const http::HeaderMap& request) {
  const auto found = std::ranges::find_if(vhost.virtual_clusters, [&](const VirtualCluster& one) {
    return match_all(one.headers, request);
  });
  return found == vhost.virtual_clusters.end() ? nullptr : &*found;
}

std::optional<std::string_view> matched_part(const RouteMatch& match, std::string_view path) {
  switch (match.kind) {
    case RouteMatch::Kind::Prefix:
    case RouteMatch::Kind::PathSeparatedPrefix:
    case RouteMatch::Kind::Path: {
      const std::string_view part = path.substr(0, match.path.size());
      if (!equal(part, match.path, match.case_sensitive)) return std::nullopt;
      return part;
    }
    case RouteMatch::Kind::Regex:
      return path_without_query(path);
    case RouteMatch::Kind::Connect:
      break;
  }
  return std::string_view();
}

}  // namespace remora::router
