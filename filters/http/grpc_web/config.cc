// Compiles the configuration of the HTTP filter for gRPC-Web, which has no field. Main thread.
#include "api/grpc_web.pb.h"
#include "filters/http/grpc_web/grpc_web.h"
#include "proxy/http/filter_registry.h"
#include "xds/translate/context.h"

namespace remora {
namespace {

absl::StatusOr<std::shared_ptr<const http::FilterFactory>> make(std::string_view bytes,
                                                                const FactoryContext&) {
  envoy::extensions::filters::http::grpc_web::v3::GrpcWeb from;
  if (!from.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return xds::translate::Path().error("is not a GrpcWeb");
  }
  using Factory = http::FilterOf<grpc_web::GrpcWeb, grpc_web::GrpcWebConfig>;
  return std::make_shared<Factory>(grpc_web::GrpcWebConfig());
}

}  // namespace

void register_http_filter_grpc_web(http::FilterRegistry& registry) {
  registry.add({.type = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", .make = &make});
}

}  // namespace remora
