// The process's log sink over spdlog's formatter. Any thread; the sink takes a lock only for lines
// that are really written.
#include "proxy/base/log.h"

#include <fcntl.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/pattern_formatter.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

namespace remora {
namespace log_internal {

std::array<std::atomic<uint8_t>, kLogComponents> levels = [] {
  std::array<uint8_t, kLogComponents> initial;
  initial.fill(static_cast<uint8_t>(LogLevel::info));
  return std::bit_cast<std::array<std::atomic<uint8_t>, kLogComponents>>(initial);
}();

}  // namespace log_internal

namespace {

constexpr std::string_view kComponentNames[] = {
#define REMORA_LOG_NAME(name) #name,
    REMORA_LOG_COMPONENTS(REMORA_LOG_NAME)
#undef REMORA_LOG_NAME
};

constexpr std::string_view kLevelNames[] = {"trace", "debug",    "info", "warning",
                                            "error", "critical", "off"};

spdlog::string_view_t spdlog_view(std::string_view text) { return {text.data(), text.size()}; }

void append_text(std::string_view text, spdlog::memory_buf_t& out) {
  out.append(text.data(), text.data() + text.size());
}

/// %_: the message on one line.
class OneLineFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (char c : message.payload) {
      if (c == '\n') {
        append_text("\\n", out);
      } else {
        out.push_back(c);
      }
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<OneLineFlag>();
  }
};

/// %j: the message as the inside of a JSON string.
class JsonFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (char c : message.payload) append_escaped(c, out);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonFlag>();
  }

 private:
  static void append_escaped(char c, spdlog::memory_buf_t& out) {
    switch (c) {
      case '"':
        return append_text("\\\"", out);
      case '\\':
        return append_text("\\\\", out);
      case '\n':
        return append_text("\\n", out);
      case '\r':
        return append_text("\\r", out);
      case '\t':
        return append_text("\\t", out);
      default:
        break;
    }
    if (static_cast<unsigned char>(c) < 0x20) {
      append_text(fmt::format("\\u{:04x}", static_cast<unsigned char>(c)), out);
    } else {
      out.push_back(c);
    }
  }
};

std::unique_ptr<spdlog::formatter> make_formatter(std::string_view pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<OneLineFlag>('_');
  formatter->add_flag<JsonFlag>('j');
  formatter->set_pattern(std::string(pattern));
  return formatter;
}

/// Where lines go. Never destroyed, so that threads may log while the process exits.
struct Sink {
  std::mutex mutex;
  std::unique_ptr<spdlog::formatter> formatter = make_formatter(kDefaultLogFormat);
  std::string path;
  int fd = STDERR_FILENO;
};

Sink& sink() {
  static auto* instance = new Sink;
  return *instance;
}

void write_fully(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return;  // a log that can't be written has nobody to tell
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
}

absl::Status open_locked(Sink& to, const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    return absl::InvalidArgumentError("cannot open log file " + path + ": " + std::strerror(errno));
  }
  if (to.fd != STDERR_FILENO) ::close(to.fd);
  to.fd = fd;
  to.path = path;
  return absl::OkStatus();
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  return static_cast<spdlog::level::level_enum>(level);
}
static_assert(static_cast<int>(LogLevel::warning) == spdlog::level::warn);
static_assert(static_cast<int>(LogLevel::off) == spdlog::level::off);

}  // namespace

namespace log_internal {

void write(LogComponent component, LogLevel level, const char* file, int line,
           fmt::string_view format, fmt::format_args args) {
  const int saved_errno = errno;
  const std::string text = fmt::vformat(format, args);
  const spdlog::details::log_msg message(spdlog::source_loc{file, line, ""},
                                         spdlog_view(log_component_name(component)),
                                         spdlog_level(level), spdlog_view(text));
  spdlog::memory_buf_t out;
  Sink& to = sink();
  std::lock_guard lock(to.mutex);
  to.formatter->format(message, out);
  write_fully(to.fd, out.data(), out.size());
  errno = saved_errno;
}

}  // namespace log_internal

std::string_view log_component_name(LogComponent component) {
  return kComponentNames[static_cast<size_t>(component)];
}

std::string_view log_level_name(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }

std::optional<LogLevel> parse_log_level(std::string_view text) {
  if (text == "warn") return LogLevel::warning;
  for (size_t i = 0; i < std::size(kLevelNames); ++i) {
    if (kLevelNames[i] == text) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::optional<LogComponent> parse_log_component(std::string_view text) {
  for (size_t i = 0; i < kLogComponents; ++i) {
    if (kComponentNames[i] == text) return static_cast<LogComponent>(i);
  }
  return std::nullopt;
}

LogLevel log_level(LogComponent component) {
  return static_cast<LogLevel>(log_internal::levels[static_cast<size_t>(component)].load());
}

void set_log_level(LogLevel level) {
  for (auto& each : log_internal::levels) each = static_cast<uint8_t>(level);
}

void set_log_level(LogComponent component, LogLevel level) {
  log_internal::levels[static_cast<size_t>(component)] = static_cast<uint8_t>(level);
}

absl::Status set_component_log_levels(std::string_view list) {
  std::vector<std::pair<LogComponent, LogLevel>> parsed;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view item = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
    const size_t colon = item.find(':');
    if (colon == std::string_view::npos) {
      return absl::InvalidArgumentError(
          fmt::format("component log level not correctly specified '{}'", item));
    }
    const auto component = parse_log_component(item.substr(0, colon));
    if (!component) {
      return absl::InvalidArgumentError(
          fmt::format("invalid component specified '{}'", item.substr(0, colon)));
    }
    const auto level = parse_log_level(item.substr(colon + 1));
    if (!level) {
      return absl::InvalidArgumentError(
          fmt::format("invalid log level specified '{}'", item.substr(colon + 1)));
    }
    parsed.emplace_back(*component, *level);
  }
  for (const auto& [component, level] : parsed) set_log_level(component, level);
  return absl::OkStatus();
}

void set_log_format(std::string_view pattern) {
  auto formatter = make_formatter(pattern);
  Sink& to = sink();
  std::lock_guard lock(to.mutex);
  to.formatter = std::move(formatter);
}

absl::Status open_log_file(const std::string& path) {
  Sink& to = sink();
  std::lock_guard lock(to.mutex);
  return open_locked(to, path);
}

absl::Status reopen_log_file() {
  Sink& to = sink();
  std::lock_guard lock(to.mutex);
  if (to.path.empty()) return absl::OkStatus();
  return open_locked(to, std::string(to.path));
}

}  // namespace remora
