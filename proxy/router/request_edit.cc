#include "proxy/router/request_edit.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "proxy/router/route_match.h"
#include "proxy/telemetry/log_format.h"

namespace remora::router {
namespace {

using http::HeaderId;
using http::HeaderMap;

bool present(const HeaderMap& headers, const HeaderEdit& edit) {
  return edit.id != HeaderId::Other ? headers.has(edit.id) : headers.find(edit.name) != nullptr;
}

/// Behind all others, wherever it was.
void overwrite(HeaderMap& headers, const HeaderEdit& edit, std::string_view value) {
  if (edit.id != HeaderId::Other) {
    headers.remove(edit.id);
    headers.add(edit.id, value);
  } else {
    headers.remove(edit.name);
    headers.add(edit.name, value);
  }
}

void add(HeaderMap& headers, const HeaderEdit& edit, std::string_view value) {
  if (edit.joins) {
    if (std::optional<std::string_view> old = headers.joined(edit.name)) {
      if (value.empty()) return;
      headers.set(edit.name, old->empty() ? value : headers.arena().join(*old, ",", value));
      return;
    }
  }
  if (edit.id != HeaderId::Other) {
    headers.add(edit.id, value);
  } else {
    headers.add(edit.name, value);
  }
}

bool overwrites(HeaderEdit::Action action) {
  return action == HeaderEdit::Action::OverwriteOrAdd ||
         action == HeaderEdit::Action::OverwriteIfExists;
}

/// What the format makes of the request; none: it would break the header block.
std::optional<std::string_view> written(const telemetry::LogFormat& format,
                                        const http::StreamInfo& info, Arena& arena) {
  std::string text;
  format.append(info, text);
  const auto breaks = [](char c) { return c == '\0' || c == '\r' || c == '\n'; };
  if (std::ranges::any_of(text, breaks)) return std::nullopt;
  return arena.copy(text);
}

/// What the edit sets.
std::optional<std::string_view> value_of(const HeaderEdit& edit, const http::StreamInfo& info,
                                         Arena& arena) {
  return edit.format == nullptr ? edit.value : written(*edit.format, info, arena);
}

/// Whether the edit is made, as the headers are before any edit of its level.
bool wanted(const HeaderMap& headers, const HeaderEdit& edit, std::string_view value) {
  if (value.empty() && !edit.keep_empty) return false;
  if (edit.action == HeaderEdit::Action::AddIfAbsent) return !present(headers, edit);
  return edit.action != HeaderEdit::Action::OverwriteIfExists || present(headers, edit);
}

void keep_original_path(HeaderMap& request, EnvoyHeaders envoy_headers) {
  if (envoy_headers == EnvoyHeaders::Insert) {
    request.set(HeaderId::XEnvoyOriginalPath, request.path());
  }
}

/// `path` without its query, wherever the pattern matches replaced.
std::string replaced(std::string_view path, const re2::RE2& pattern, const std::string& by) {
  std::string out(path_without_query(path));
  re2::RE2::GlobalReplace(&out, pattern, by);
  return out;
}

/// The path becomes `path` and keeps its query.
void set_path(std::string_view path, HeaderMap& request, EnvoyHeaders envoy_headers) {
  const std::string_view old = request.path();
  keep_original_path(request, envoy_headers);
  request.set(HeaderId::Path,
              request.arena().join(path, old.substr(path_without_query(old).size())));
}

void rewrite_path(const Route& route, const ClusterAction& action, const http::StreamInfo& info,
                  HeaderMap& request, EnvoyHeaders envoy_headers) {
  if (!request.has(HeaderId::Path)) return;
  const Rewrites& rewrites = *action.rewrites;
  if (rewrites.has_prefix_rewrite) {
    rewrite_prefix(route.match, rewrites.prefix_rewrite, request, envoy_headers);
  } else if (rewrites.regex_rewrite) {
    set_path(replaced(request.path(), *rewrites.regex_rewrite, rewrites.regex_substitution),
             request, envoy_headers);
  } else if (rewrites.path_rewrite != nullptr) {
    const auto path = written(*rewrites.path_rewrite, info, request.arena());
    if (path && !path->empty()) set_path(*path, request, envoy_headers);
  }
}

/// The host by which the route asks; empty: the client's.
std::string_view other_host(const Rewrites& rewrites, const http::StreamInfo& info,
                            HeaderMap& request) {
  if (!rewrites.host_rewrite_literal.empty()) return rewrites.host_rewrite_literal;
  if (!rewrites.host_rewrite_header.empty()) {
    const http::HeaderEntry* source = request.find(rewrites.host_rewrite_header);
    return source == nullptr ? std::string_view() : source->value;
  }
  if (rewrites.host_rewrite_regex) {
    return request.arena().copy(
        replaced(request.path(), *rewrites.host_rewrite_regex, rewrites.host_rewrite_substitution));
  }
  if (rewrites.host_rewrite == nullptr) return {};
  return written(*rewrites.host_rewrite, info, request.arena()).value_or(std::string_view());
}

/// The path that the redirect names whatever the request's is; it may have a query.
std::optional<std::string_view> other_path(const RedirectAction& redirect,
                                           const http::StreamInfo& info, Arena& arena) {
  if (redirect.has_path) return redirect.path;
  if (redirect.path_rewrite == nullptr) return std::nullopt;
  const auto path = written(*redirect.path_rewrite, info, arena);
  return path && path->empty() ? std::nullopt : path;
}

/// Levels in the order in which Envoy applies them; the last one wins.
std::array<const HeaderEdits*, 3> in_order(const RouteDecision& decision, const HeaderEdits* route,
                                           const HeaderEdits* vhost, const HeaderEdits* table) {
  if (decision.table->input().most_specific_header_mutations_wins) return {table, vhost, route};
  return {route, vhost, table};
}

/// The host of the request as the redirect keeps it: its port goes when another is given, or when
/// it is the default one of a scheme that is left.
std::string_view kept_host(const HeaderMap& request, std::string_view scheme, bool new_port) {
  std::string_view host = request.authority();
  if (host.empty()) return host;
  size_t port = host.front() == '[' ? host.rfind("]:") : host.rfind(':');
  if (port == std::string_view::npos) return host;
  if (host.front() == '[') ++port;
  std::string_view from = request.get(HeaderId::XForwardedProto);
  bool drop = new_port;
  if (scheme != from) {
    drop |= from == "https" && host.substr(port) == ":443";
    drop |= from == "http" && host.substr(port) == ":80";
  }
  return drop ? host.substr(0, port) : host;
}

}  // namespace

void apply(const HeaderEdits& edits, const http::StreamInfo& info, HeaderMap& headers) {
  for (const std::string& name : edits.remove) headers.remove(name);
  if (edits.add.empty()) return;
  struct Chosen {
    const HeaderEdit* edit;
    std::string_view value;
  };
  auto* const chosen = static_cast<Chosen*>(
      headers.arena().allocate(edits.add.size() * sizeof(Chosen), alignof(Chosen)));
  Chosen* end = chosen;
  for (const HeaderEdit& edit : edits.add) {
    const std::optional<std::string_view> value = value_of(edit, info, headers.arena());
    if (value && wanted(headers, edit, *value)) *end++ = {&edit, *value};
  }
  for (const Chosen* at = chosen; at != end; ++at) {
    if (overwrites(at->edit->action)) overwrite(headers, *at->edit, at->value);
  }
  for (const Chosen* at = chosen; at != end; ++at) {
    if (!overwrites(at->edit->action)) add(headers, *at->edit, at->value);
  }
}

void edit_request(const RouteDecision& decision, const http::StreamInfo& info, HeaderMap& request,
                  EnvoyHeaders envoy_headers) {
  const Route& route = *decision.route;
  if (decision.weighted != nullptr) {
    apply(decision.weighted->request_edits, info, request);
    const std::string& host = decision.weighted->host_rewrite_literal;
    if (!host.empty()) request.set(HeaderId::Authority, host);
  }
  for (const HeaderEdits* edits :
       in_order(decision, &route.request_edits, &decision.vhost->request_edits,
                &decision.table->input().request_edits)) {
    apply(*edits, info, request);
  }
  const auto& action = std::get<ClusterAction>(route.action);
  const std::string_view host = other_host(*action.rewrites, info, request);
  if (!host.empty()) rewrite_host(action, host, request);
  rewrite_path(route, action, info, request, envoy_headers);
}

void edit_response(const RouteDecision& decision, const http::StreamInfo& info,
                   HeaderMap& response) {
  if (decision.weighted != nullptr) apply(decision.weighted->response_edits, info, response);
  for (const HeaderEdits* edits :
       in_order(decision, &decision.route->response_edits, &decision.vhost->response_edits,
                &decision.table->input().response_edits)) {
    apply(*edits, info, response);
  }
}

void rewrite_host(const ClusterAction& action, std::string_view host, HeaderMap& request) {
  std::string_view old = request.authority();
  if (old == host) return;
  request.set(HeaderId::XEnvoyOriginalHost, old);
  if (action.append_x_forwarded_host && !old.empty()) {
    std::string_view forwarded = request.get(HeaderId::XForwardedHost);
    size_t last = forwarded.rfind(',');
    std::string_view newest =
        last == std::string_view::npos ? forwarded : forwarded.substr(last + 1);
    if (newest != old) request.append(HeaderId::XForwardedHost, old);
  }
  request.set(HeaderId::Authority, host);
}

void rewrite_prefix(const RouteMatch& match, std::string_view replacement, HeaderMap& request,
                    EnvoyHeaders envoy_headers) {
  std::string_view path = request.path();
  const std::optional<std::string_view> matched = matched_part(match, path);
  if (!matched) return;
  keep_original_path(request, envoy_headers);
  request.set(HeaderId::Path, request.arena().join(replacement, path.substr(matched->size())));
}

std::string_view redirect_location(const RedirectAction& redirect, const http::StreamInfo& info,
                                   const HeaderMap& request) {
  std::string_view scheme = request.get(HeaderId::Scheme);
  if (!redirect.scheme.empty()) {
    scheme = redirect.scheme;
  } else if (redirect.https) {
    scheme = "https";
  }
  std::array<char, 8> digits;
  std::string_view port;
  if (redirect.port != 0) {
    digits[0] = ':';
    auto end = std::to_chars(digits.data() + 1, digits.data() + digits.size(), redirect.port).ptr;
    port = {digits.data(), static_cast<size_t>(end - digits.data())};
  }
  std::string_view host = redirect.host;
  if (host.empty()) {
    host = redirect.keeps_port ? request.authority() : kept_host(request, scheme, !port.empty());
  }
  std::string_view path = request.path();
  const size_t question = std::min(path.find('?'), path.size());
  std::string_view query = path.substr(question);
  path = path.substr(0, question);
  bool own_query = false;
  if (const auto other = other_path(redirect, info, request.arena())) {
    path = *other;
    own_query = path.find('?') != std::string_view::npos;
  } else if (redirect.regex_rewrite) {
    path =
        request.arena().copy(replaced(path, *redirect.regex_rewrite, redirect.regex_substitution));
  }
  if (redirect.strip_query || own_query) query = {};
  const std::string_view slash = path.starts_with('/') ? "" : "/";
  return request.arena().join(scheme, "://", host, port, slash, path, query);
}

}  // namespace remora::router
