// Makes the factory from its message, which has no fields. Main thread.
#include "api/original_dst.pb.h"
#include "filters/listener/original_dst/original_dst.h"
#include "proxy/net/filter_registry.h"

namespace remora {

void register_listener_filter_original_dst(ListenerFilterRegistry& registry);

namespace {

using Message = envoy::extensions::filters::listener::original_dst::v3::OriginalDst;

absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>> make(std::string_view bytes,
                                                                  const FactoryContext&) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("is not an OriginalDst message");
  }
  return std::make_shared<filters::OriginalDstFactory>();
}

}  // namespace

void register_listener_filter_original_dst(ListenerFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.listener.original_dst.v3.OriginalDst", &make});
}

}  // namespace remora
