// Where access logs go: a file, standard output or error. Each worker fills a buffer of its own and
// writes it in one write() when it is full or an interval is over; no lock, no other thread. Owned
// by AccessLogSinks.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/upstream/worker_context.h"

namespace remora::telemetry {

class LogSink {
 public:
  /// Takes the descriptor. `path`: what reopen() opens again; empty: nothing.
  LogSink(int fd, std::string path, uint64_t flush_interval_ms, uint32_t workers);
  /// Writes what is buffered; the workers have ended.
  ~LogSink();
  LogSink(const LogSink&) = delete;
  LogSink& operator=(const LogSink&) = delete;

  /// The worker's buffer, to append one entry to; then entry_added().
  std::string& buffer_of(WorkerContext& worker);
  void entry_added(WorkerContext& worker);

  /// Opens the path again, under the same descriptor: workers in the middle of a write do not
  /// notice. Main thread.
  absl::Status reopen();

 private:
  struct Buffer {
    Buffer(LogSink& sink, TimerWheel& timers);
    void flush();

    LogSink& sink;
    std::string bytes;
    size_t entries_end = 0;  // bytes of whole entries
    Timer timer;
  };
  void write_all(std::string_view bytes);

  const int fd_;
  const std::string path_;
  const uint64_t flush_interval_ms_;
  const size_t flush_bytes_;
  std::vector<std::unique_ptr<Buffer>>
      buffers_;  // by worker index; each made and used by its worker alone
};

/// The sinks of the process, by path: two logs to one file share its buffers. A sink stays open
/// until the end, because workers' timers are in it. Owned by the server, made before the workers
/// and destroyed after them; main thread.
class AccessLogSinks {
 public:
  AccessLogSinks(uint64_t flush_interval_ms, uint32_t workers);
  ~AccessLogSinks();

  /// Opens `path` to append, or finds it open.
  absl::StatusOr<LogSink*> file(const std::string& path);
  LogSink* standard_output();
  LogSink* standard_error();
  /// Opens all files again, after they were rotated (SIGUSR1, POST /reopen_logs); failures are
  /// logged.
  void reopen();

 private:
  LogSink* add(std::string key, int fd, std::string path);

  const uint64_t flush_interval_ms_;
  const uint32_t workers_;
  StringMap<std::unique_ptr<LogSink>> sinks_;
};

}  // namespace remora::telemetry
