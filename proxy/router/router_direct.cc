// Requests that never reach an upstream: redirects, direct responses, clusters that are not there.
#include <array>
#include <string>
#include <string_view>

#include "proxy/router/router.h"
#include "proxy/telemetry/log_format.h"

namespace remora::router {

using http::FilterStatus;
using http::HeaderId;
using http::HeaderMap;
using stats::RouterStat;

FilterStatus Router::refuse_unknown_cluster(const ClusterAction& action) {
  stats_.inc(RouterStat::no_cluster);
  http::Failure failure = http::failures::kClusterNotFound;
  failure.status = action.cluster_not_found_status;
  return stream_.reply(failure);
}

FilterStatus Router::answer_directly(const Route& route, HeaderMap& headers) {
  constexpr uint16_t kCreated = 201;
  stats_.inc(RouterStat::rq_direct_response);  // redirects included, as Envoy counts
  if (const auto* redirect = std::get_if<RedirectAction>(&route.action)) {
    if (redirect->has_prefix_rewrite) {
      rewrite_prefix(route.match, redirect->prefix_rewrite, headers, config_.envoy_headers);
    }
    const http::ReplyHeader location = {HeaderId::Location,
                                        redirect_location(*redirect, stream_.info(), headers)};
    return stream_.reply({redirect->status, http::kNoFlag, kDirectResponse, {}}, {},
                         {&location, 1});
  }
  const auto& direct = std::get<DirectAction>(route.action);
  http::Failure answer = {direct.status, http::kNoFlag, kDirectResponse, direct.body};
  std::array<http::ReplyHeader, 2> own;
  size_t count = 0;
  if (route.extras != nullptr && route.extras->direct) {
    answer.body = direct_body(*route.extras->direct, direct);
    if (!answer.body.empty()) {
      own[count++] = {HeaderId::ContentType, route.extras->direct->content_type};
    }
  }
  if (direct.status == kCreated || direct.status / 100 == 3) {
    own[count++] = {HeaderId::Location, redirect_location({}, stream_.info(), headers)};
  }
  return stream_.reply(answer, {}, {own.data(), count});
}

/// What the format makes of the action's own body and of the request.
std::string_view Router::direct_body(const DirectFormat& format, const DirectAction& direct) {
  http::StreamInfo& info = stream_.info();
  info.local_reply_body = direct.body;
  std::string text;
  format.format->append(info, text);
  info.local_reply_body = {};
  return stream_.arena().copy(text);
}

}  // namespace remora::router
