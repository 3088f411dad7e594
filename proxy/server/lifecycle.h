// What state the process is in, as /ready, /server_info and `server.state` tell it. Owned by the
// Server; main thread only.
#pragma once

#include <cstdint>

#include "proxy/base/clock.h"

namespace remora::server {

/// Values are Envoy's, seen in the gauge `server.state`.
enum class State : uint8_t { Live = 0, Draining = 1, PreInitializing = 2, Initializing = 3 };

constexpr const char* state_name(State state) {
  switch (state) {
    case State::Live:
      return "LIVE";
    case State::Draining:
      return "DRAINING";
    case State::PreInitializing:
      return "PRE_INITIALIZING";
    case State::Initializing:
      return "INITIALIZING";
  }
  return "";
}

struct Lifecycle {
  WallNs started_wall = 0;
  MonotonicMs started_ms = 0;
  bool initialized = false;
  bool draining = false;
  bool health_check_failed = false;  // POST /healthcheck/fail

  State state() const {
    if (draining || (initialized && health_check_failed)) return State::Draining;
    return initialized ? State::Live : State::PreInitializing;
  }
};

}  // namespace remora::server
