// How long a host leaves connections open that stand idle: as it has announced, and as was seen. A
// request that is sent just when the host closes is lost, so pools let go of connections before.
// Part of a pool; its thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace remora::upstream {

class IdleClose {
 public:
  /// The host has closed a connection that had stood idle for so long. Two closes after about the
  /// same time are no accident; the shorter one counts from then on.
  void closed_after(uint64_t idle_ms);
  /// The host has said so (`Keep-Alive: timeout=5`).
  void announced(uint64_t idle_ms) { announced_ms_ = idle_ms; }
  /// What was seen holds no more: a connection has outlived it by far.
  void forget_seen() { last_ms_ = seen_ms_ = 0; }

  bool seen() const { return seen_ms_ != 0; }
  /// The shorter of what was seen and announced; 0: nothing is known.
  uint64_t idle_ms() const;
  /// From so many milliseconds of idleness on a connection should carry no further request; nothing
  /// is known: UINT64_MAX.
  uint64_t retire_after_ms() const;

 private:
  uint64_t last_ms_ = 0;  // the latest close
  uint64_t seen_ms_ = 0;  // 0: nothing
  uint64_t announced_ms_ = 0;
};

/// The milliseconds in the value of a Keep-Alive field; none, or none that says anything: nothing.
std::optional<uint64_t> keep_alive_timeout_ms(std::string_view value);

}  // namespace remora::upstream
