// What connection.cc and connection_read.cc share. Not for others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "proxy/net/connection.h"

namespace remora {

/// Asked of FdEvent::activate() beside the kernel's bits: hand out what is in the read buffer.
inline constexpr uint8_t kDeliverBuffered = 0x80;

/// One pass of reading, before the handler hears of it.
struct Connection::ReadOutcome {
  size_t bytes = 0;
  bool end = false;
  bool broken = false;
  int error = 0;  // errno of a broken read
};

}  // namespace remora
