// The commands of the substitution language: each finds one fact of a request and writes it.
// Immutable; any thread.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/stream_info.h"

namespace remora::telemetry {

/// Arguments of a command, compiled; which ones mean something depends on the command.
struct LogArguments {
  struct Header {
    std::string name;  // lower case; empty: none
    http::HeaderId id = http::HeaderId::Other;
  };
  Header header, alternative;  // REQ(FIRST?ALTERNATIVE)
  size_t max_length = SIZE_MAX;
  std::string text;               // a constant, a format of times, or a name
  std::vector<std::string> path;  // below that name
  uint8_t first = 0, second = 0;  // points in time, a precision, a spelling
};

class LogCommand {
 public:
  /// `name` and `argument` as in "%NAME(argument):max_length%".
  static absl::StatusOr<LogCommand> compile(std::string_view name,
                                            std::optional<std::string_view> argument,
                                            std::optional<size_t> max_length);

  /// Appends the value; false, and nothing appended, when there is none.
  bool append(const http::StreamInfo& info, std::string& out) const;
  /// Its values are numbers.
  bool is_number() const { return number_; }
  /// Its values are JSON where JSON is written; append_json() then takes the place of append().
  bool is_json() const { return write_json_ != nullptr; }
  bool append_json(const http::StreamInfo& info, std::string& out) const;

  using Write = bool (*)(const LogArguments& arguments, const http::StreamInfo& info,
                         std::string& out);

 private:
  Write write_ = nullptr;
  Write write_json_ = nullptr;
  bool number_ = false;
  LogArguments arguments_;
};

}  // namespace remora::telemetry
