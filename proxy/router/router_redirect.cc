// Redirects that upstreams answer with and that are followed instead of passed on.
#include <algorithm>
#include <string_view>

#include "proxy/router/internal_redirect.h"
#include "proxy/router/router.h"
#include "proxy/upstream/worker_context.h"

namespace remora::router {

using http::HeaderId;
using http::HeaderMap;
using stats::ClusterStat;
using stats::RouterStat;

/// Whether the request goes on to where the answer points. It begins anew then, and this filter is
/// over.
bool Router::follows_redirect(Attempt& attempt, const HeaderMap& headers, bool end_stream) {
  const InternalRedirectPolicy& policy = *extras_->redirects;
  const uint16_t status = headers.status();
  if (std::ranges::find(policy.codes, status) == policy.codes.end()) return false;
  http::StreamInfo& info = stream_.info();
  const bool possible =
      request_ended_ && !body_lost_ && info.tunnel.empty() && headers.has(HeaderId::Location);
  const std::string_view method = stream_.request_headers().method();
  if (!possible || !passes_redirect_policy(headers)) {
    cluster_->stats().inc(ClusterStat::upstream_internal_redirect_failed_total);
    return false;
  }
  if (stream_.request_headers().method() != method) replay_.clear();
  info.response_code = status;
  info.response_code_details = "internal_redirect";
  if (end_stream) attempt.complete();
  cluster_->stats().inc(ClusterStat::upstream_internal_redirect_succeeded_total);
  over_ = true;
  return stream_.restart(replay_);
}

bool Router::passes_redirect_policy(const HeaderMap& headers) {
  switch (follow_redirect(*extras_->redirects, stream_.route_decision(), headers,
                          stream_.worker().random(), stream_.info(), stream_.request_headers())) {
    case RedirectVerdict::Follow:
      return true;
    case RedirectVerdict::BadLocation:
      stats_.inc(RouterStat::passthrough_internal_redirect_bad_location);
      break;
    case RedirectVerdict::UnsafeScheme:
      stats_.inc(RouterStat::passthrough_internal_redirect_unsafe_scheme);
      break;
    case RedirectVerdict::TooMany:
      stats_.inc(RouterStat::passthrough_internal_redirect_too_many_redirects);
      break;
    case RedirectVerdict::NoRoute:
      stats_.inc(RouterStat::passthrough_internal_redirect_no_route);
      break;
    case RedirectVerdict::Predicate:
      stats_.inc(RouterStat::passthrough_internal_redirect_predicate);
      break;
  }
  return false;
}

}  // namespace remora::router
