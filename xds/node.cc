// The node message.
#include "xds/node.h"

namespace remora::xds {
namespace {

constexpr uint32_t kEnvoyMajor = 1, kEnvoyMinor = 40, kEnvoyPatch = 0;

// State-of-the-world responses may wrap resources to name them, version them and limit their life.
constexpr const char* kClientFeatures[] = {"xds.config.resource-in-sotw"};

}  // namespace

envoy::config::core::v3::Node make_node(envoy::config::core::v3::Node node,
                                        std::span<const ExtensionName> extensions) {
  node.set_user_agent_name("envoy");
  auto& build = *node.mutable_user_agent_build_version();
  build.mutable_version()->set_major_number(kEnvoyMajor);
  build.mutable_version()->set_minor_number(kEnvoyMinor);
  build.mutable_version()->set_patch(kEnvoyPatch);
  (*build.mutable_metadata()->mutable_fields())["build.implementation"].set_string_value("remora");
  node.clear_extensions();
  for (const ExtensionName& extension : extensions) {
    auto& entry = *node.add_extensions();
    entry.set_name(extension.name);
    entry.set_category(extension.category);
    for (const std::string& url : extension.type_urls) entry.add_type_urls(url);
  }
  for (const char* feature : kClientFeatures) node.add_client_features(feature);
  return node;
}

}  // namespace remora::xds
