#include "proxy/server/admin/server_view.h"

#include <google/protobuf/struct.pb.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>

#include "api/admin.pb.h"
#include "proxy/base/log.h"
#include "proxy/server/admin/json.h"

namespace remora::server {
namespace {

void fill_options(const Options& options, uint32_t concurrency,
                  envoy::admin::v3::CommandLineOptions* out) {
  using Proto = envoy::admin::v3::CommandLineOptions;
  out->set_concurrency(concurrency);
  out->set_config_path(options.config_path);
  out->set_config_yaml(options.config_yaml);
  out->set_allow_unknown_static_fields(options.allow_unknown_static_fields);
  out->set_reject_unknown_dynamic_fields(options.reject_unknown_dynamic_fields);
  out->set_ignore_unknown_dynamic_fields(options.ignore_unknown_dynamic_fields);
  out->set_admin_address_path(options.admin_address_path);
  out->set_local_address_ip_version(options.local_address_v6 ? Proto::v6 : Proto::v4);
  out->set_log_level(options.log_level);
  out->set_component_log_level(options.component_log_level);
  out->set_log_format(options.log_format.empty() ? std::string(kDefaultLogFormat)
                                                 : options.log_format);
  out->set_log_path(options.log_path);
  out->set_service_cluster(options.service_cluster);
  out->set_service_node(options.service_node);
  out->set_service_zone(options.service_zone);
  out->mutable_file_flush_interval()->set_seconds(options.file_flush_interval_ms / 1000);
  out->mutable_file_flush_interval()->set_nanos(
      static_cast<int32_t>(options.file_flush_interval_ms % 1000 * 1'000'000));
  out->mutable_drain_time()->set_seconds(options.drain_time_s);
  out->set_drain_strategy(options.drain_strategy == DrainStrategy::Gradual ? Proto::Gradual
                                                                           : Proto::Immediate);
  out->mutable_parent_shutdown_time()->set_seconds(options.parent_shutdown_time_s);
  out->set_mode(static_cast<Proto::Mode>(options.mode));
  out->set_disable_hot_restart(true);
  for (const auto& [name, value] : options.stats_tags) out->add_stats_tag(name + ":" + value);
}

std::string levels() {
  std::string out = "active loggers:\n";
  for (size_t i = 0; i < kLogComponents; ++i) {
    auto component = static_cast<LogComponent>(i);
    out += "  " + std::string(log_component_name(component)) + ": " +
           std::string(log_level_name(log_level(component))) + "\n";
  }
  return out;
}

}  // namespace

AdminResponse server_info(const Options& options, const Lifecycle& lifecycle, uint32_t concurrency,
                          const envoy::config::core::v3::Node& node) {
  envoy::admin::v3::ServerInfo info;
  std::string version = version_text();
  info.set_version(version.substr(version.find(": ") + 2));
  info.set_state(static_cast<envoy::admin::v3::ServerInfo::State>(lifecycle.state()));
  uint64_t uptime_s = (monotonic_now_ms() - lifecycle.started_ms) / 1000;
  info.mutable_uptime_current_epoch()->set_seconds(uptime_s);
  info.mutable_uptime_all_epochs()->set_seconds(uptime_s);
  info.set_hot_restart_version("disabled");
  fill_options(options, concurrency, info.mutable_command_line_options());
  *info.mutable_node() = node;
  return AdminResponse::json(to_json_with_defaults(info));
}

MemoryUse memory_use() {
  MemoryUse use;
  struct mallinfo2 info = mallinfo2();
  use.allocated = info.uordblks + info.hblkhd;
  use.heap = info.arena + info.hblkhd;
  std::ifstream statm("/proc/self/statm");
  uint64_t total = 0, resident = 0;
  if (statm >> total >> resident)
    use.physical = resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return use;
}

AdminResponse memory_view() {
  MemoryUse use = memory_use();
  envoy::admin::v3::Memory memory;
  memory.set_allocated(use.allocated);
  memory.set_heap_size(use.heap);
  memory.set_total_physical_bytes(use.physical);
  memory.set_pageheap_free(use.heap > use.allocated ? use.heap - use.allocated : 0);
  return AdminResponse::json(to_json_with_defaults(memory));
}

AdminResponse logging(const AdminRequest& request) {
  for (const auto& [name, value] : request.query) {
    if (name == "level") {
      auto level = parse_log_level(value);
      if (!level) return AdminResponse::text("error: unknown logger level\n", 400);
      set_log_level(*level);
      continue;
    }
    absl::Status status = set_component_log_levels(name == "paths" ? value : name + ":" + value);
    if (!status.ok())
      return AdminResponse::text("error: " + std::string(status.message()) + "\n", 400);
  }
  return AdminResponse::text(levels());
}

AdminResponse runtime_view(const xds::translate::Runtime& runtime) {
  google::protobuf::Struct out;
  auto* layers = (*out.mutable_fields())["layers"].mutable_list_value();
  for (const std::string& layer : runtime.layers()) layers->add_values()->set_string_value(layer);
  auto& entries = *(*out.mutable_fields())["entries"].mutable_struct_value()->mutable_fields();
  for (const auto& [key, texts] : runtime.texts()) {
    auto& entry = *entries[key].mutable_struct_value()->mutable_fields();
    auto* values = entry["layer_values"].mutable_list_value();
    std::string final_value;
    for (const std::string& text : texts) {
      values->add_values()->set_string_value(text);
      if (!text.empty()) final_value = text;
    }
    entry["final_value"].set_string_value(final_value);
  }
  return AdminResponse::json(to_json(out));
}

}  // namespace remora::server
