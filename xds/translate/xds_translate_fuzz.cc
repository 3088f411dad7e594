// Any bytes as a resource: the first byte says of which type, the rest are the message. Either it
// is refused with a reason, or what was compiled is whole, and compiling it again gives the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "xds/translate/cluster.h"
#include "xds/translate/connection_manager.h"
#include "xds/translate/endpoint.h"
#include "xds/translate/fake_context.h"
#include "xds/translate/listener.h"
#include "xds/translate/route.h"

namespace {

using namespace remora::xds::translate;

template <class Proto, class Compile>
void translate_twice(std::string_view bytes, Compile compile) {
  static FakeContext fake;
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto first = compile(proto, fake.context);
  const auto second = compile(proto, fake.context);
  if (first.ok() != second.ok() || first.status() != second.status()) std::abort();
  if (!first.ok() && first.status().message().empty()) std::abort();
  fake.reported.clear();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (bytes.find("/dev") != std::string_view::npos) return 0;  // a file that never ends
  switch (data[0] % 5) {
    case 0:
      translate_twice<envoy::config::cluster::v3::Cluster>(bytes, cluster);
      break;
    case 1:
      translate_twice<envoy::config::endpoint::v3::ClusterLoadAssignment>(bytes, assignment);
      break;
    case 2:
      translate_twice<envoy::config::listener::v3::Listener>(bytes, listener);
      break;
    case 3:
      translate_twice<envoy::config::route::v3::RouteConfiguration>(bytes, routes);
      break;
    case 4:
      translate_twice<
          envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager>(
          bytes, [](const auto& proto, Context& context) {
            return http_connection_manager(proto, context);
          });
      break;
  }
  return 0;
}
