// Command-line flags, Envoy's names and meanings. A plain value made once in main() before any
// thread starts.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace remora::server {

enum class Mode : uint8_t { Serve, Validate, InitOnly };
enum class DrainStrategy : uint8_t { Gradual, Immediate };

struct Options {
  std::string config_path;
  std::string config_yaml;  // merged over the file
  Mode mode = Mode::Serve;
  uint32_t concurrency = 0;  // 0: what the cgroup grants
  std::string service_node;
  std::string service_cluster;
  std::string service_zone;
  uint64_t drain_time_s = 600;
  uint64_t parent_shutdown_time_s = 900;
  DrainStrategy drain_strategy = DrainStrategy::Gradual;
  bool local_address_v6 = false;
  uint64_t file_flush_interval_ms = 10'000;
  bool allow_unknown_static_fields = false;
  bool reject_unknown_dynamic_fields = false;
  bool ignore_unknown_dynamic_fields = false;
  bool skip_deprecated_logs = false;
  std::string log_level = "info";
  std::string component_log_level;  // "upstream:debug,config:trace"
  std::string log_format;           // empty: Envoy's default
  std::string log_path;             // empty: stderr
  std::string admin_address_path;
  std::vector<std::pair<std::string, std::string>> stats_tags;  // --stats-tag name:value
  bool show_help = false;
  bool show_version = false;
};

/// InvalidArgument with one line of text for an unknown flag, a missing or bad value, or a flag
/// whose feature does not exist here (hot restart).
absl::StatusOr<Options> parse_options(const std::vector<std::string>& args);

std::string help_text();
/// "remora version: <revision>/<version>/Clean/RELEASE/OpenSSL", the shape of Envoy's.
std::string version_text();

/// CPUs granted by the cgroup and affinity of this process, at least 1.
uint32_t granted_cpus();

}  // namespace remora::server
