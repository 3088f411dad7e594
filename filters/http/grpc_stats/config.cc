// Compiles the configuration of the HTTP filter that counts gRPC calls. Main thread.
#include <absl/strings/str_cat.h>

#include "api/grpc_stats.pb.h"
#include "filters/http/grpc_stats/grpc_stats.h"
#include "proxy/http/filter_registry.h"
#include "xds/translate/context.h"

namespace remora {
namespace {

namespace proto = envoy::extensions::filters::http::grpc_stats::v3;
using xds::translate::Path;

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make(std::string_view bytes,
                                                                const FactoryContext&) {
  const Path path;
  proto::FilterConfig from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not a FilterConfig of grpc_stats");
  }
  grpc_stats::GrpcStatsConfig config;
  config.emit_filter_state = from.emit_filter_state();
  config.all_methods = from.stats_for_all_methods().value();
  config.replace_dots = from.replace_dots_in_grpc_service_name();
  config.upstream_times = from.enable_upstream_stats();
  for (const auto& service : from.individual_method_stats_allowlist().services()) {
    for (const std::string& method : service.method_names()) {
      config.methods.insert(absl::StrCat(service.name(), ".", method));
    }
  }
  return std::make_shared<http::FilterOf<grpc_stats::GrpcStats, grpc_stats::GrpcStatsConfig>>(
      std::move(config));
}

}  // namespace

void register_http_filter_grpc_stats(http::FilterRegistry& registry) {
  registry.add({.type = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", .make = &make});
}

}  // namespace remora
