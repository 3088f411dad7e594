// Role-based access control of requests: refuses with 403 what the policies do not allow. Made per
// stream in its arena; its worker's thread. Document: envoy.extensions.filters.http.rbac.v3.RBAC.
#pragma once

#include <memory>

#include "proxy/http/filter.h"
#include "proxy/policy/enforcement.h"

namespace remora::rbac {

struct Policies {
  std::shared_ptr<const policy::Engine> enforced, shadow;  // null: none
};

struct HttpRbacConfig {
  Policies policies;
  policy::DecisionKeys enforced_keys, shadow_keys;
  policy::DecisionCounters enforced_counters, shadow_counters;
};

class HttpRbac final : public http::Filter {
 public:
  HttpRbac(http::FilterStream& stream, const HttpRbacConfig& config)
      : stream_(stream), config_(config) {}

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;

 private:
  http::FilterStatus refuse(const policy::Decision& decision, const policy::Engine& engine);

  http::FilterStream& stream_;
  const HttpRbacConfig& config_;
};

}  // namespace remora::rbac
