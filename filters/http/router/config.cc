// Compiles the router's configuration; the router itself is in proxy/router. Main thread.
#include "api/router.pb.h"
#include "proxy/http/filter_registry.h"
#include "proxy/router/router.h"
#include "proxy/stats/store.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora {
namespace {

using Proto = envoy::extensions::filters::http::router::v3::Router;

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make_router(
    std::string_view bytes, const FactoryContext& context) {
  const xds::translate::Path path;
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a Router");
  }
  if (proto.start_child_span()) {
    return path.field("start_child_span").error("is not supported: there is no tracer");
  }
  if (proto.strict_check_headers_size() > 0) {
    return path.field("strict_check_headers").error("is not supported");
  }
  if (proto.suppress_grpc_request_failure_code_stats()) {
    return path.field("suppress_grpc_request_failure_code_stats").error("is not supported");
  }
  router::RouterConfig config;
  config.envoy_headers = proto.suppress_envoy_headers() ? router::EnvoyHeaders::Suppress
                                                        : router::EnvoyHeaders::Insert;
  config.respect_expected_rq_timeout = proto.respect_expected_rq_timeout();
  config.dynamic_stats = !proto.has_dynamic_stats() || proto.dynamic_stats().value();
  config.stats = context.stats.group<stats::RouterSchema>(context.stats_prefix);
  return std::make_shared<router::RouterFactory>(std::move(config));
}

}  // namespace

void register_http_filter_router(http::FilterRegistry& registry) {
  registry.add({.type = "envoy.extensions.filters.http.router.v3.Router", .make = &make_router});
}

}  // namespace remora
