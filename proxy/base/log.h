// The one logger: levels per component, one sink for the process. Any thread.
// The sink and the levels are process-wide on purpose, the one exception to "no global state": a
// log line may be written anywhere, and passing a logger through every constructor would say
// nothing. A disabled line costs one relaxed load and a compare; its arguments are not evaluated.
#pragma once

#include <absl/status/status.h>
#include <fmt/core.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace remora {

enum class LogLevel : uint8_t { trace, debug, info, warning, error, critical, off };

/// Envoy's component names, so that --component-log-level and POST /logging take the names people
/// know.
// clang-format off
#define REMORA_LOG_COMPONENTS(X) \
  X(admin) X(alternate_protocols_cache) X(aws) X(assert) X(backtrace) X(cache_filter) X(client) \
  X(config) X(connection) X(conn_handler) X(compression) X(credential_injector) \
  X(decompression) X(dns) X(dubbo) X(dynamic_modules) X(envoy_bug) X(ext_authz) X(ext_proc) \
  X(rocketmq) X(file) X(filter) X(forward_proxy) X(geolocation) X(golang) X(grpc) \
  X(happy_eyeballs) X(hc) X(health_checker) X(http) X(http2) X(hystrix) X(init) X(io) X(jwt) \
  X(kafka) X(key_value_store) X(lua) X(main) X(matcher) X(misc) X(mongo) X(multi_connection) \
  X(oauth2) X(quic) X(quic_stream) X(pool) X(rate_limit_quota) X(rbac) X(rds) X(redis) X(regex) \
  X(router) X(runtime) X(stats) X(secret) X(tap) X(testing) X(thrift) X(tracing) X(upstream) \
  X(udp) X(wasm) X(websocket)
// clang-format on

enum class LogComponent : uint8_t {
#define REMORA_LOG_ENUM(name) name,  // NOLINT(bugprone-macro-parentheses)
  REMORA_LOG_COMPONENTS(REMORA_LOG_ENUM)
#undef REMORA_LOG_ENUM
};

#define REMORA_LOG_COUNT(name) +1  // NOLINT(bugprone-macro-parentheses)
inline constexpr size_t kLogComponents = 0 REMORA_LOG_COMPONENTS(REMORA_LOG_COUNT);
#undef REMORA_LOG_COUNT

inline constexpr std::string_view kDefaultLogFormat = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v";

std::string_view log_component_name(LogComponent component);
std::string_view log_level_name(LogLevel level);
/// "trace" to "critical" and "off"; "warn" and "warning" are the same.
std::optional<LogLevel> parse_log_level(std::string_view text);
std::optional<LogComponent> parse_log_component(std::string_view text);

LogLevel log_level(LogComponent component);
void set_log_level(LogLevel level);  // of every component
void set_log_level(LogComponent component, LogLevel level);
/// "upstream:debug,connection:trace", as --component-log-level takes it. On error nothing changes.
absl::Status set_component_log_levels(std::string_view list);

/// spdlog's pattern language, plus Envoy's %_ (message with newlines escaped) and %j (message as
/// the inside of a JSON string).
void set_log_format(std::string_view pattern);
/// Appends to `path` instead of standard error.
absl::Status open_log_file(const std::string& path);
/// Opens the same path again, after log rotation (SIGUSR1). Without a log file nothing happens.
absl::Status reopen_log_file();

namespace log_internal {

extern std::array<std::atomic<uint8_t>, kLogComponents> levels;

void write(LogComponent component, LogLevel level, const char* file, int line,
           fmt::string_view format, fmt::format_args args);

template <class... Args>
void log(LogComponent component, LogLevel level, const char* file, int line,
         fmt::format_string<Args...> format, Args&&... args) {
  write(component, level, file, line, format, fmt::make_format_args(args...));
}

}  // namespace log_internal

inline bool log_enabled(LogComponent component, LogLevel level) {
  return static_cast<uint8_t>(level) >=
         log_internal::levels[static_cast<size_t>(component)].load(std::memory_order_relaxed);
}

}  // namespace remora

#define REMORA_LOG(component, level, ...)                                                       \
  do {                                                                                          \
    if (::remora::log_enabled(::remora::LogComponent::component, ::remora::LogLevel::level)) {  \
      ::remora::log_internal::log(::remora::LogComponent::component, ::remora::LogLevel::level, \
                                  __FILE__, __LINE__, __VA_ARGS__);                             \
    }                                                                                           \
  } while (false)

/// LOG_INFO(upstream, "added host {}", address): component, fmt format, arguments.
#define LOG_TRACE(component, ...) REMORA_LOG(component, trace, __VA_ARGS__)
#define LOG_DEBUG(component, ...) REMORA_LOG(component, debug, __VA_ARGS__)
#define LOG_INFO(component, ...) REMORA_LOG(component, info, __VA_ARGS__)
#define LOG_WARNING(component, ...) REMORA_LOG(component, warning, __VA_ARGS__)
#define LOG_ERROR(component, ...) REMORA_LOG(component, error, __VA_ARGS__)
#define LOG_CRITICAL(component, ...) REMORA_LOG(component, critical, __VA_ARGS__)
