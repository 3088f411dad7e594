// Any text as a bootstrap: read as YAML or as JSON (the first byte chooses), checked and compiled.
// Either it is refused with a reason, or everything that was compiled is whole.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "xds/translate/bootstrap.h"
#include "xds/translate/fake_context.h"
#include "xds/translate/yaml_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::xds::translate;
  if (size == 0) return 0;
  static FakeContext fake;
  const Syntax syntax = data[0] == '{' ? Syntax::Json : Syntax::Yaml;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // Files are not for fuzzing to read.
  if (text.find("filename") != std::string_view::npos) return 0;
  envoy::config::bootstrap::v3::Bootstrap proto;
  if (!text_to_message(text, syntax, &proto, [](const Unknown&) {}).ok()) return 0;
  BootstrapInput input;
  input.policy.kind = UnknownFieldPolicy::Kind::StaticAccept;
  auto config = bootstrap(std::move(proto), input);
  if (!config.ok()) {
    if (config.status().message().empty()) std::abort();
    return 0;
  }
  fake.context.policy = input.policy;
  fake.context.has_cluster = nullptr;
  auto statics = static_resources(*config, fake.context);
  if (!statics.ok()) {
    if (statics.status().message().empty()) std::abort();
    return 0;
  }
  for (const auto& cluster : statics->clusters) {
    if (cluster->name.empty() || cluster->transport == nullptr) std::abort();
  }
  for (const auto& listener : statics->listeners) {
    if (listener->addresses.empty() || listener->stats == nullptr) std::abort();
    if (listener->chains.empty() && !listener->default_chain) std::abort();
  }
  return 0;
}
