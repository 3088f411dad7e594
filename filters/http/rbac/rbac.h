// Role-based access control of requests: refuses with 403 what the policies do not allow. Made per
// stream in its arena; its worker's thread. Document: envoy.extensions.filters.http.rbac.v3.RBAC.
#pragma once

#include <memory>
#include <string>

#include "proxy/http/filter.h"
#include "proxy/policy/enforcement.h"

namespace remora::rbac {

/// What decides, and where decisions are left. A route may bring its own, which stand for all of
/// the filter's.
struct Policies {
  std::shared_ptr<const policy::Engine> enforced, shadow;  // null: none
  policy::DecisionKeys enforced_keys, shadow_keys;         // of a route, empty: the filter's
};

struct Counters {
  policy::DecisionCounters enforced, shadow;
};

struct HttpRbacConfig {
  std::string filter_name;  // routes name it
  Policies policies;
  Counters counters;           // and of each rule, where that is asked for
  Counters override_counters;  // the same ones, without those of rules
};

class HttpRbac final : public http::Filter {
 public:
  HttpRbac(http::FilterStream& stream, const HttpRbacConfig& config)
      : stream_(stream), config_(config) {}

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;

 private:
  http::FilterStatus decide(const Policies& policies, const Counters& counters,
                            const policy::Facts& facts);
  http::FilterStatus refuse(const policy::Decision& decision, const policy::Engine& engine);

  http::FilterStream& stream_;
  const HttpRbacConfig& config_;
};

}  // namespace remora::rbac
