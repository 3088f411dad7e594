#include "proxy/server/options.h"

#include <absl/strings/ascii.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

namespace remora::server {
namespace {

absl::Status bad(const std::string& text) { return absl::InvalidArgumentError(text); }

template <class Number>
absl::Status parse_number(const std::string& flag, const std::string& text, Number* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (error != std::errc() || end != text.data() + text.size()) {
    return bad(flag + ": '" + text + "' is not a number in range");
  }
  return absl::OkStatus();
}

/// One flag: its names, whether it takes a value, what it means, and what it does to the options.
struct Flag {
  std::vector<std::string> names;
  std::string value;  // placeholder; empty for a switch
  std::string help;
  std::function<absl::Status(Options&, const std::string&)> apply;
};

using Apply = std::function<absl::Status(Options&, const std::string&)>;

Apply store(std::string Options::*field) {
  return [field](Options& o, const std::string& v) {
    o.*field = v;
    return absl::OkStatus();
  };
}

Apply raise(bool Options::*field) {
  return [field](Options& o, const std::string&) {
    o.*field = true;
    return absl::OkStatus();
  };
}

Apply number(const char* flag, uint64_t Options::*field) {
  return [flag, field](Options& o, const std::string& v) {
    return parse_number(flag, v, &(o.*field));
  };
}

template <class Enum>
Apply choice(const char* flag, Enum Options::*field, std::map<std::string, Enum> values) {
  return [=](Options& o, const std::string& v) -> absl::Status {
    auto found = values.find(v);
    if (found == values.end())
      return bad(std::string(flag) + ": '" + v + "' is not one of its values");
    o.*field = found->second;
    return absl::OkStatus();
  };
}

absl::Status apply_level(Options& o, const std::string& v) {
  for (const char* level :
       {"trace", "debug", "info", "warning", "warn", "error", "critical", "off"}) {
    if (v == level) {
      o.log_level = v;
      return absl::OkStatus();
    }
  }
  return bad("--log-level: '" + v +
             "' is not one of trace, debug, info, warning, error, critical, off");
}

absl::Status apply_stats_tag(Options& o, const std::string& v) {
  size_t colon = v.find(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == v.size()) {
    return bad("--stats-tag: '" + v + "' is not NAME:VALUE");
  }
  // What a label may be called everywhere; a dot in the value would split a statistic's name.
  if (!std::all_of(v.begin(), v.begin() + static_cast<ptrdiff_t>(colon), absl::ascii_isalnum)) {
    return bad("--stats-tag: the name in '" + v + "' must be letters and digits");
  }
  if (v.find('.', colon) != std::string::npos) {
    return bad("--stats-tag: the value in '" + v + "' must not have a dot");
  }
  o.stats_tags.emplace_back(v.substr(0, colon), v.substr(colon + 1));
  return absl::OkStatus();
}

absl::Status apply_restart_epoch(Options&, const std::string& v) {
  uint64_t epoch = 0;
  if (auto s = parse_number("--restart-epoch", v, &epoch); !s.ok()) return s;
  if (epoch != 0)
    return bad("--restart-epoch: hot restart does not exist here; only 0 is accepted");
  return absl::OkStatus();
}

absl::Status apply_base_id(Options&, const std::string& v) {
  uint64_t id = 0;
  return parse_number("--base-id", v, &id);
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = {
      {{"-c", "--config-path"},
       "FILE",
       "bootstrap file, YAML or JSON",
       store(&Options::config_path)},
      {{"--config-yaml"},
       "YAML",
       "bootstrap text merged over the file",
       store(&Options::config_yaml)},
      {{"--mode"},
       "MODE",
       "serve (default), validate (load everything, then exit), init_only (initialise, then exit)",
       choice("--mode", &Options::mode,
              std::map<std::string, Mode>{{"serve", Mode::Serve},
                                          {"validate", Mode::Validate},
                                          {"init_only", Mode::InitOnly}})},
      {{"--concurrency"},
       "N",
       "worker threads (default: the CPUs that the cgroup grants)",
       [](Options& o, const std::string& v) {
         if (auto s = parse_number("--concurrency", v, &o.concurrency); !s.ok()) return s;
         if (o.concurrency > 1024) return bad("--concurrency: at most 1024");
         return absl::OkStatus();
       }},
      {{"--service-node"},
       "ID",
       "node.id, whatever the bootstrap says",
       store(&Options::service_node)},
      {{"--service-cluster"},
       "NAME",
       "node.cluster, whatever the bootstrap says",
       store(&Options::service_cluster)},
      {{"--service-zone"},
       "ZONE",
       "node.locality.zone, whatever the bootstrap says",
       store(&Options::service_zone)},
      {{"--drain-time-s"},
       "SECONDS",
       "how long draining connections may live (default 600)",
       number("--drain-time-s", &Options::drain_time_s)},
      {{"--drain-strategy"},
       "KIND",
       "gradual (default): more answers carry 'connection: close' as time passes; immediate: all "
       "do",
       choice("--drain-strategy", &Options::drain_strategy,
              std::map<std::string, DrainStrategy>{{"gradual", DrainStrategy::Gradual},
                                                   {"immediate", DrainStrategy::Immediate}})},
      {{"--local-address-ip-version"},
       "v4|v6",
       "family of the address reported as the proxy's own (default v4)",
       [](Options& o, const std::string& v) {
         if (v != "v4" && v != "v6") return bad("--local-address-ip-version: v4 or v6");
         o.local_address_v6 = v == "v6";
         return absl::OkStatus();
       }},
      {{"--file-flush-interval-msec"},
       "MS",
       "how often buffered access logs are written (default 10000)",
       number("--file-flush-interval-msec", &Options::file_flush_interval_ms)},
      {{"--allow-unknown-static-fields"},
       "",
       "accept unknown fields in the bootstrap (counted and logged)",
       raise(&Options::allow_unknown_static_fields)},
      {{"--reject-unknown-dynamic-fields"},
       "",
       "refuse any unknown field from xDS",
       raise(&Options::reject_unknown_dynamic_fields)},
      {{"--ignore-unknown-dynamic-fields"},
       "",
       "do not count or log accepted unknown fields from xDS",
       raise(&Options::ignore_unknown_dynamic_fields)},
      {{"-l", "--log-level"},
       "LEVEL",
       "trace, debug, info (default), warning, error, critical, off",
       apply_level},
      {{"--component-log-level"},
       "LIST",
       "levels of components, as upstream:debug,config:trace",
       store(&Options::component_log_level)},
      {{"--log-format"}, "FORMAT", "pattern of log lines", store(&Options::log_format)},
      {{"--log-path"},
       "FILE",
       "log file (default: standard error); SIGUSR1 reopens it",
       store(&Options::log_path)},
      {{"--admin-address-path"},
       "FILE",
       "the admin address is written there",
       store(&Options::admin_address_path)},
      {{"--stats-tag"}, "NAME:VALUE", "tag put on every metric; may be repeated", apply_stats_tag},
      {{"--skip-deprecated-logs"},
       "",
       "accepted: no deprecation warnings are ever logged",
       raise(&Options::skip_deprecated_logs)},
      {{"--base-id"},
       "N",
       "accepted: tells hot-restart instances apart, and there is no hot restart here",
       apply_base_id},
      {{"--restart-epoch"},
       "N",
       "accepted when 0: there is no hot restart here",
       apply_restart_epoch},
      {{"--parent-shutdown-time-s"},
       "SECONDS",
       "accepted: concerns the parent of a hot restart only",
       number("--parent-shutdown-time-s", &Options::parent_shutdown_time_s)},
      {{"--disable-hot-restart"},
       "",
       "accepted: there is no hot restart here",
       [](Options&, const std::string&) { return absl::OkStatus(); }},
      {{"--version"}, "", "print the version and exit", raise(&Options::show_version)},
      {{"-h", "--help"}, "", "print this and exit", raise(&Options::show_help)},
  };
  return all;
}

constexpr std::string_view kRepeatable = "--stats-tag";

const Flag* find_flag(const std::string& name) {
  for (const Flag& flag : flags()) {
    for (const std::string& candidate : flag.names) {
      if (candidate == name) return &flag;
    }
  }
  return nullptr;
}

/// cgroup v2 "cpu.max" ("max 100000" or "200000 100000"), v1 cfs_quota; 0 when there is no quota.
double cgroup_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0) return std::stod(quota) / period;
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
      v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double q = 0, p = 0;
  if (v1_quota >> q && v1_period >> p && q > 0 && p > 0) return q / p;
  return 0;
}

}  // namespace

absl::StatusOr<Options> parse_options(const std::vector<std::string>& args) {
  Options options;
  std::set<const Flag*> given;
  for (size_t i = 0; i < args.size(); ++i) {
    std::string name = args[i];
    std::optional<std::string> value;
    if (size_t eq = name.find('='); name.rfind("--", 0) == 0 && eq != std::string::npos) {
      value = name.substr(eq + 1);
      name.resize(eq);
    }
    const Flag* flag = find_flag(name);
    if (flag == nullptr) return bad("unknown argument '" + args[i] + "' (see --help)");
    if (flag->value.empty()) {
      if (value) return bad(name + " takes no value");
    } else if (!value) {
      if (i + 1 == args.size()) return bad(name + " needs a value");
      value = args[++i];
    }
    if (!given.insert(flag).second && flag->names.front() != kRepeatable) {
      return bad(name + " is given twice");
    }
    if (auto status = flag->apply(options, value.value_or("")); !status.ok()) return status;
  }
  if (options.reject_unknown_dynamic_fields && options.ignore_unknown_dynamic_fields) {
    return bad(
        "--reject-unknown-dynamic-fields and --ignore-unknown-dynamic-fields contradict each "
        "other");
  }
  return options;
}

std::string help_text() {
  std::string text = "remora: service-mesh sidecar proxy\n\nusage: remora -c FILE [flags]\n\n";
  for (const Flag& flag : flags()) {
    std::string left = "  ";
    for (size_t i = 0; i < flag.names.size(); ++i) left += (i ? ", " : "") + flag.names[i];
    if (!flag.value.empty()) left += " " + flag.value;
    left.resize(std::max<size_t>(left.size() + 2, 36), ' ');
    text += left + flag.help + "\n";
  }
  return text;
}

std::string version_text() { return "remora version: 0/1.40.0-remora/Clean/RELEASE/OpenSSL"; }

uint32_t granted_cpus() {
  uint32_t cpus = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
  if (double quota = cgroup_quota(); quota > 0) {
    cpus = std::min(cpus, static_cast<uint32_t>(std::max(1.0, std::floor(quota))));
  }
  return cpus;
}

}  // namespace remora::server
