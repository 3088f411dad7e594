// Compiles the configuration of the filter that looks up hosts. Main thread.
#include <absl/strings/ascii.h>

#include <memory>

#include "api/dynamic_forward_proxy_filter.pb.h"
#include "filters/http/dynamic_forward_proxy/dynamic_forward_proxy.h"
#include "proxy/http/filter_registry.h"
#include "xds/translate/context.h"
#include "xds/translate/dns.h"
#include "xds/translate/values.h"

namespace remora {
namespace {

namespace proto = envoy::extensions::filters::http::dynamic_forward_proxy::v3;
using dynamic_forward_proxy::DynamicForwardProxy;
using dynamic_forward_proxy::RouteSettings;
using dynamic_forward_proxy::Settings;
using xds::translate::Path;

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make(std::string_view bytes,
                                                                const FactoryContext& context) {
  const Path path;
  proto::FilterConfig from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a FilterConfig");
  }
  if (from.has_sub_cluster_config()) {
    return path.field("sub_cluster_config").error("is not supported");
  }
  if (!from.has_dns_cache_config()) return path.field("dns_cache_config").error("is required");
  if (from.save_upstream_address()) {
    REMORA_TRY(context.translation.not_honoured(path.field("save_upstream_address"),
                                                "is not supported", false));
  }
  Settings settings;
  settings.filter_name = context.filter_name;
  REMORA_TRY_ASSIGN(settings.cache,
                    xds::translate::dns_cache(from.dns_cache_config(), context.translation,
                                              path.field("dns_cache_config")));
  return std::make_shared<http::FilterOf<DynamicForwardProxy, Settings>>(std::move(settings));
}

absl::StatusOr<std::shared_ptr<const void>> make_for_route(std::string_view bytes,
                                                           const FactoryContext&) {
  const Path path;
  proto::PerRouteConfig from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a PerRouteConfig");
  }
  auto out = std::make_shared<RouteSettings>();
  const Path at = path.field("host_rewrite_literal");
  REMORA_TRY(xds::translate::check_header_value(from.host_rewrite_literal(), at));
  out->host = from.host_rewrite_literal();
  if (!from.host_rewrite_header().empty()) {
    REMORA_TRY(xds::translate::check_header_name(from.host_rewrite_header(),
                                                 path.field("host_rewrite_header")));
    out->header = absl::AsciiStrToLower(from.host_rewrite_header());
  }
  return out;
}

}  // namespace

void register_http_filter_dynamic_forward_proxy(http::FilterRegistry& registry) {
  registry.add(
      {.type = "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
       .make = &make,
       .route_type = "envoy.extensions.filters.http.dynamic_forward_proxy.v3.PerRouteConfig",
       .make_route_config = &make_for_route});
}

}  // namespace remora
