// The admin interface: a table of endpoints and what each answers. Knows nothing of sockets (see
// admin_listener.h). Owned by the Server; main thread only. Document: Envoy's "operations/admin".
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace remora::server {

struct AdminRequest {
  std::string_view method;
  std::string_view path;                          // without the query
  std::string_view host;                          // :authority
  std::multimap<std::string, std::string> query;  // percent-decoded

  bool has(const std::string& name) const { return query.count(name) != 0; }
  std::optional<std::string> get(const std::string& name) const;
};

struct AdminResponse {
  uint16_t status = 200;
  std::string body;
  std::string_view content_type = kText;

  static constexpr std::string_view kText = "text/plain; charset=UTF-8";
  static constexpr std::string_view kJson = "application/json";
  static AdminResponse text(std::string body, uint16_t status = 200) {
    return {status, std::move(body), kText};
  }
  static AdminResponse json(std::string body) { return {200, std::move(body), kJson}; }
};

class Admin {
 public:
  using Handler = std::function<AdminResponse(const AdminRequest&)>;
  enum class Effect : uint8_t { ReadOnly, ChangesState };
  /// Metrics and readiness may be asked for under any Host, since scrapers come through other
  /// listeners.
  enum class Audience : uint8_t { LocalHost, AnyHost };

  void add(std::string path, std::string help, Effect effect, Audience audience, Handler handler);

  /// Finds the endpoint and answers: 404 with the list of commands, 405 for a change without POST,
  /// 403 for a Host that is a foreign name (DNS rebinding).
  AdminResponse handle(std::string_view method, std::string_view target,
                       std::string_view host) const;

  std::string help() const;

 private:
  struct Endpoint {
    std::string help;
    Effect effect;
    Audience audience;
    Handler handler;
  };
  std::map<std::string, Endpoint, std::less<>> endpoints_;
};

/// "localhost", an IP literal (a browser cannot be tricked into sending one for another site) or
/// empty.
bool is_local_admin_host(std::string_view authority);

}  // namespace remora::server
