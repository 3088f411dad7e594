// From the message to a factory of connection managers. The manager itself is proxy/connection_manager. Main thread.
#include "proxy/connection_manager/connection_manager.h"

#include "api/http_connection_manager.pb.h"
#include "filters/network/registry.h"
#include "proxy/stats/names.h"
#include "proxy/stats/store.h"
#include "xds/translate/connection_manager.h"
#include "xds/translate/path.h"

namespace remora {
namespace {

using Proto = envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

absl::StatusOr<std::shared_ptr<const NetworkFilterFactory>> make(std::string_view bytes, const FactoryContext& context) {
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("is not an HttpConnectionManager");
  }
  auto config = xds::translate::http_connection_manager(proto, context.translation);
  if (!config.ok()) return config.status();
  const std::string& prefix = (*config)->stat_prefix;
  connection_manager::Shared shared;
  shared.stats = context.stats.group<stats::HttpSchema>(stats::http_prefix(prefix));
  if (const std::string& listener = context.translation.listener_stat_name; !listener.empty()) {
    shared.listener_stats =
        context.stats.group<stats::ListenerHttpSchema>(stats::listener_http_prefix(listener, prefix));
  }
  shared.config = *std::move(config);
  return std::make_shared<connection_manager::ConnectionManagerFactory>(std::move(shared));
}

}  // namespace

void register_network_filter_http_connection_manager(NetworkFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", &make});
}

}  // namespace remora
