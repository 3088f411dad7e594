#include "proxy/server/admin/admin.h"

#include "proxy/net/address.h"

namespace remora::server {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

std::multimap<std::string, std::string> parse_query(std::string_view query) {
  std::multimap<std::string, std::string> out;
  while (!query.empty()) {
    size_t amp = query.find('&');
    std::string_view pair = query.substr(0, amp);
    query = amp == std::string_view::npos ? std::string_view() : query.substr(amp + 1);
    if (pair.empty()) continue;
    size_t eq = pair.find('=');
    std::string_view value =
        eq == std::string_view::npos ? std::string_view() : pair.substr(eq + 1);
    out.emplace(percent_decode(pair.substr(0, eq)), percent_decode(value));
  }
  return out;
}

}  // namespace

std::optional<std::string> AdminRequest::get(const std::string& name) const {
  auto found = query.find(name);
  if (found == query.end()) return std::nullopt;
  return found->second;
}

void Admin::add(std::string path, std::string help, Effect effect, Audience audience,
                Handler handler) {
  endpoints_[std::move(path)] = Endpoint{std::move(help), effect, audience, std::move(handler)};
}

AdminResponse Admin::handle(std::string_view method, std::string_view target,
                            std::string_view host) const {
  size_t question = target.find('?');
  AdminRequest request;
  request.method = method;
  request.path = target.substr(0, question);
  request.host = host;
  if (question != std::string_view::npos) request.query = parse_query(target.substr(question + 1));

  auto found = endpoints_.find(request.path);
  if (found == endpoints_.end()) {
    return AdminResponse::text("invalid path. admin commands are:\n" + help(), 404);
  }
  const Endpoint& endpoint = found->second;
  if (endpoint.audience == Audience::LocalHost && !is_local_admin_host(host)) {
    return AdminResponse::text(
        "the Host header names a foreign site; use localhost or an IP address\n", 403);
  }
  if (endpoint.effect == Effect::ChangesState && method != "POST") {
    return AdminResponse::text("Method " + std::string(method) + " not allowed, POST required.",
                               405);
  }
  if (method != "GET" && method != "HEAD" && method != "POST")
    return AdminResponse::text("Method Not Allowed", 405);
  return endpoint.handler(request);
}

std::string Admin::help() const {
  std::string out;
  for (const auto& [path, endpoint] : endpoints_) {
    out += "  " + path + (endpoint.effect == Effect::ChangesState ? " (POST)" : "") + ": " +
           endpoint.help + "\n";
  }
  return out;
}

bool is_local_admin_host(std::string_view authority) {
  if (authority.empty()) return false;
  std::string_view host = authority;
  if (host.front() == '[') {
    size_t close = host.find(']');
    if (close == std::string_view::npos) return false;
    host = host.substr(1, close - 1);
  } else if (size_t colon = host.rfind(':'); colon != std::string_view::npos) {
    host = host.substr(0, colon);
  }
  if (host == "localhost") return true;
  return Address::from_ip(host, 0).ok();
}

}  // namespace remora::server
