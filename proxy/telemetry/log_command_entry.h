// How a command is described: private to the files that have the commands by topic. Immutable; any
// thread.
#pragma once

#include <absl/status/status.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/telemetry/log_command.h"

namespace remora::telemetry {

struct LogCommandEntry {
  enum class Takes : uint8_t { Nothing, Argument, OptionalArgument };
  enum class Type : uint8_t { String, Number, Json };
  using Compile = absl::Status (*)(std::string_view argument, LogArguments& out);

  std::string_view name;
  Type type;
  LogCommand::Write write;
  Takes takes = Takes::Nothing;
  Compile compile = nullptr;
  LogCommand::Write write_json = nullptr;  // of Json
};

/// The format of a time, as %START_TIME(...)% takes it.
absl::Status compile_time_format(std::string_view argument, LogArguments& out);

/// What a certificate, the handshake and the first bytes say of a connection.
std::span<const LogCommandEntry> identity_commands();
/// Dynamic metadata and filter state.
std::span<const LogCommandEntry> state_commands();

}  // namespace remora::telemetry
