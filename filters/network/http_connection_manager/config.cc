// Compiles the HTTP connection manager's configuration; the filter itself is in
// proxy/connection_manager. Main thread.
#include "api/http_connection_manager.pb.h"
#include "proxy/connection_manager/connection_manager.h"
#include "proxy/net/filter_registry.h"
#include "proxy/stats/names.h"
#include "proxy/stats/store.h"
#include "xds/translate/connection_manager.h"
#include "xds/translate/context.h"

namespace remora {
namespace {

using Proto =
    envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> make_http_connection_manager(
    std::string_view bytes, const FactoryContext& context) {
  const xds::translate::Path path;
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return path.error("is not an HttpConnectionManager");
  }
  auto config = xds::translate::http_connection_manager(proto, context.translation, path);
  if (!config.ok()) return config.status();
  connection_manager::Shared shared;
  shared.config = *std::move(config);
  const std::string& prefix = shared.config->stat_prefix;
  shared.stats = context.stats.group<stats::HttpSchema>(stats::http_prefix(prefix));
  shared.http1_stats = context.stats.group<stats::Http1Schema>(stats::kHttp1Prefix);
  shared.http2_stats = context.stats.group<stats::Http2Schema>(stats::kHttp2Prefix);
  if (const std::string& listener = context.translation.listener_stat_name; !listener.empty()) {
    shared.listener_stats = context.stats.group<stats::ListenerHttpSchema>(
        stats::listener_http_prefix(listener, prefix));
  }
  return std::make_shared<connection_manager::ConnectionManagerFactory>(std::move(shared));
}

}  // namespace

void register_network_filter_http_connection_manager(NetworkFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                &make_http_connection_manager});
}

}  // namespace remora
