// Compiles the inspector's configuration. Main thread.
#include <absl/strings/str_cat.h>

#include "api/tls_inspector.pb.h"
#include "filters/listener/tls_inspector/tls_inspector.h"
#include "proxy/net/filter_registry.h"
#include "proxy/stats/store.h"
#include "xds/translate/path.h"

namespace remora {

void register_listener_filter_tls_inspector(ListenerFilterRegistry& registry);

namespace {

using xds::translate::Path;
using Message = envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector;

constexpr uint32_t kMinBytes = 256;
constexpr uint32_t kMaxFirstPeekBytes = 65536;

absl::StatusOr<size_t> read_size(const google::protobuf::UInt32Value& from, uint32_t max,
                                 const Path& path) {
  if (from.value() >= kMinBytes && from.value() <= max) return from.value();
  return path.error(absl::StrCat("must be from ", kMinBytes, " to ", max));
}

absl::StatusOr<std::shared_ptr<const ListenerFilterFactory>> make(std::string_view bytes,
                                                                  const FactoryContext& context) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::InvalidArgumentError("is not a TlsInspector message");
  }
  const Path path;
  filters::TlsInspectorConfig out;
  out.ja3 = message.enable_ja3_fingerprinting().value();
  out.ja4 = message.enable_ja4_fingerprinting().value();
  out.reject_plain = message.close_connection_on_client_hello_parsing_errors();
  if (message.has_max_client_hello_size()) {
    auto size = read_size(message.max_client_hello_size(), out.kMaxClientHelloBytes,
                          path.field("max_client_hello_size"));
    if (!size.ok()) return size.status();
    out.max_client_hello_bytes = *size;
  }
  out.first_peek_bytes = out.max_client_hello_bytes;
  if (message.has_initial_read_buffer_size()) {
    auto size = read_size(message.initial_read_buffer_size(), kMaxFirstPeekBytes,
                          path.field("initial_read_buffer_size"));
    if (!size.ok()) return size.status();
    out.first_peek_bytes = *size;
  }
  out.stats = context.stats.group<filters::TlsInspectorSchema>("tls_inspector");
  return std::make_shared<filters::TlsInspectorFactory>(std::move(out));
}

}  // namespace

void register_listener_filter_tls_inspector(ListenerFilterRegistry& registry) {
  registry.add({"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", &make});
}

}  // namespace remora
