#include "filters/http/dynamic_forward_proxy/dynamic_forward_proxy.h"

#include "proxy/router/route_table.h"
#include "proxy/upstream/balancing_config.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/worker_context.h"

namespace remora::dynamic_forward_proxy {
namespace {

using http::FilterStatus;
using http::HeaderId;

const http::Failure kNoRoom = {503, http::kNoFlag, "dns_cache_overflow", "DNS cache overflow"};
const http::Failure kTooManyWait = {503, http::kNoFlag,
                                    "dynamic_forward_proxy_pending_request_overflow",
                                    "Dynamic forward proxy pending request overflow"};

}  // namespace

FilterStatus DynamicForwardProxy::on_request_headers(http::HeaderMap& headers, bool) {
  const router::RouteDecision& decision = stream_.route_decision();
  if (decision.route == nullptr) return FilterStatus::Continue();
  upstream::Cluster* cluster = stream_.worker().clusters().find(decision.cluster);
  if (cluster == nullptr) return FilterStatus::Continue();
  const upstream::ClusterConfig& config = cluster->config();
  if (upstream::balancing_of(config).dns_cache == nullptr) return FilterStatus::Continue();
  rewrite_host(headers);
  const std::string_view key =
      upstream::host_key(headers.authority(), upstream::default_port(config), stream_.arena());
  if (key.empty()) return fail("cares_failure:Misformatted_domain_name");
  const uint32_t thread = stream_.worker().index();
  if (const upstream::ResolvedNamePtr* known = settings_.cache->find(thread, key)) {
    return judge(*known);
  }
  if (!settings_.cache->wait(thread, key, *this)) return stream_.reply(kTooManyWait);
  return FilterStatus::Pause();
}

void DynamicForwardProxy::rewrite_host(http::HeaderMap& headers) {
  const auto* route =
      static_cast<const RouteSettings*>(stream_.route_config_of(settings_.filter_name));
  if (route == nullptr) return;
  if (!route->host.empty()) return headers.set(HeaderId::Authority, route->host);
  if (route->header.empty()) return;
  const http::HeaderEntry* header = headers.find(route->header);
  if (header != nullptr && !header->value.empty()) {
    headers.set(HeaderId::Authority, header->value);
  }
}

void DynamicForwardProxy::on_name(const upstream::ResolvedNamePtr& name) {
  if (name == nullptr) {
    stream_.reply(kNoRoom);
    return;
  }
  if (judge(name).value() == FilterStatus::kContinue) stream_.resume(http::Direction::Request);
}

FilterStatus DynamicForwardProxy::judge(const upstream::ResolvedNamePtr& name) {
  // Who asks for a name that fails uses it, too.
  name->touch(stream_.worker().loop().now_ms());
  return name->addresses.empty() ? fail(name->failure) : FilterStatus::Continue();
}

FilterStatus DynamicForwardProxy::fail(std::string_view reason) {
  return stream_.reply({503, http::ResponseFlag::DF,
                        stream_.arena().join("dns_resolution_failure{", reason, "}"),
                        "DNS resolution failure"});
}

}  // namespace remora::dynamic_forward_proxy
