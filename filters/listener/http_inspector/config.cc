// Makes the factory from its message, which has no fields. Main thread.
#include "api/http_inspector.pb.h"
#include "filters/listener/http_inspector/http_inspector.h"
#include "proxy/net/filter_registry.h"
#include "proxy/stats/store.h"

namespace remora {

void register_listener_filter_http_inspector(ListenerFilterRegistry& registry);

namespace {

using Message = envoy::extensions::filters::listener::http_inspector::v3::HttpInspector;

absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>> make(std::string_view bytes,
                                                                  const FactoryContext& context) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("is not an HttpInspector message");
  }
  return std::make_shared<filters::HttpInspectorFactory>(
      context.stats.group<filters::HttpInspectorSchema>("http_inspector"));
}

}  // namespace

void register_listener_filter_http_inspector(ListenerFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", &make});
}

}  // namespace remora
