#include "xds/translate/transport_socket.h"

#include <absl/strings/str_cat.h>

#include "api/raw_buffer.pb.h"
#include "xds/translate/typed_config.h"
#include "xds/translate/values.h"

namespace remora::xds::translate {

absl::StatusOr<std::shared_ptr<const TransportFactory>> transport_socket(
    const envoy::config::core::v3::TransportSocket& proto, const Path& path) {
  using RawBuffer = envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
  const Path at = path.field("typed_config");
  if (!proto.has_typed_config()) {
    if (proto.name().empty()) return raw_transport_factory();
    return at.error("is required");
  }
  if (proto.name().empty()) return path.field("name").error("is required");
  TypedBytes config;
  REMORA_TRY_ASSIGN(config, unwrap(proto.typed_config(), at));
  if (config.type != RawBuffer::descriptor()->full_name()) {
    return at.error(absl::StrCat("unknown type ", config.type));
  }
  return raw_transport_factory();
}

}  // namespace remora::xds::translate
