#include "proxy/telemetry/log_sink.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"

namespace remora::telemetry {

namespace {

constexpr size_t kFileFlushBytes = 64 * 1024;
constexpr size_t kLineReserve = 1024;

/// Whole entries up to this size are written at once. Workers' writes to a pipe mix beyond
/// PIPE_BUF.
size_t flush_bytes_of(int fd) {
  struct stat status;
  bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  return regular ? kFileFlushBytes : PIPE_BUF;
}

int open_to_append(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

absl::Status open_failed(const std::string& path) {
  return absl::InvalidArgumentError("unable to open file '" + path + "': " + std::strerror(errno));
}

}  // namespace

LogSink::Buffer::Buffer(LogSink& sink, TimerWheel& timers)
    : sink(sink), timer(timers, Timer::bind<&Buffer::flush, Buffer>(), this) {
  bytes.reserve(sink.flush_bytes_ + kLineReserve);
}

void LogSink::Buffer::flush() {
  sink.write_all(bytes);
  bytes.clear();
  entries_end = 0;
  timer.disarm();
}

LogSink::LogSink(int fd, std::string path, uint64_t flush_interval_ms, uint32_t workers)
    : fd_(fd),
      path_(std::move(path)),
      flush_interval_ms_(flush_interval_ms),
      flush_bytes_(flush_bytes_of(fd)),
      buffers_(workers + 1) {}

LogSink::~LogSink() {
  for (const auto& buffer : buffers_) {
    if (buffer != nullptr) write_all(buffer->bytes);
  }
  close(fd_);
}

std::string& LogSink::buffer_of(WorkerContext& worker) {
  auto& buffer = buffers_[worker.index()];
  if (buffer == nullptr) buffer = std::make_unique<Buffer>(*this, worker.timers());
  return buffer->bytes;
}

void LogSink::entry_added(WorkerContext& worker) {
  Buffer& buffer = *buffers_[worker.index()];
  if (buffer.bytes.size() > flush_bytes_ && buffer.entries_end != 0) {
    // What was there before fits into one write, the new entry begins the next.
    write_all(std::string_view(buffer.bytes).substr(0, buffer.entries_end));
    buffer.bytes.erase(0, buffer.entries_end);
  }
  buffer.entries_end = buffer.bytes.size();
  if (buffer.entries_end >= flush_bytes_) {
    buffer.flush();
  } else if (!buffer.timer.armed()) {
    buffer.timer.arm(flush_interval_ms_);
  }
}

void LogSink::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      LOG_WARNING(file, "access log '{}': {} bytes are lost: {}", path_, bytes.size(),
                  std::strerror(errno));
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

absl::Status LogSink::reopen() {
  if (path_.empty()) return absl::OkStatus();
  int fd = open_to_append(path_);
  if (fd < 0) return open_failed(path_);
  // Puts the new file under the old number in one step.
  bool replaced = dup3(fd, fd_, O_CLOEXEC) >= 0;
  close(fd);
  return replaced ? absl::OkStatus() : open_failed(path_);
}

AccessLogSinks::AccessLogSinks(uint64_t flush_interval_ms, uint32_t workers)
    : flush_interval_ms_(flush_interval_ms), workers_(workers) {}

AccessLogSinks::~AccessLogSinks() = default;

LogSink* AccessLogSinks::add(std::string key, int fd, std::string path) {
  auto sink = std::make_unique<LogSink>(fd, std::move(path), flush_interval_ms_, workers_);
  return sinks_.insert_or_assign(std::move(key), std::move(sink)).first->second.get();
}

absl::StatusOr<LogSink*> AccessLogSinks::file(const std::string& path) {
  if (auto open = sinks_.find(path); open != sinks_.end()) return open->second.get();
  int fd = open_to_append(path);
  if (fd < 0) return open_failed(path);
  return add(path, fd, path);
}

LogSink* AccessLogSinks::standard_output() {
  constexpr std::string_view kKey = "";  // no path
  if (auto open = sinks_.find(kKey); open != sinks_.end()) return open->second.get();
  return add(std::string(kKey), fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0), "");
}

LogSink* AccessLogSinks::standard_error() {
  const std::string key(1, '\0');  // no path either
  if (auto open = sinks_.find(key); open != sinks_.end()) return open->second.get();
  return add(key, fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), "");
}

void AccessLogSinks::reopen() {
  for (const auto& [key, sink] : sinks_) {
    if (auto status = sink->reopen(); !status.ok())
      LOG_ERROR(file, "{}", std::string(status.message()));
  }
}

}  // namespace remora::telemetry
