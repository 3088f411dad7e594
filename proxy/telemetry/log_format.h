// Envoy's substitution language, "%REQ(:METHOD)% %RESPONSE_CODE%", compiled once and then written
// for each request. Immutable; any thread. log_command.h has the commands.
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "proxy/http/stream_info.h"
#include "proxy/telemetry/log_command.h"

namespace remora::telemetry {

/// What Envoy writes when no format is given.
inline constexpr std::string_view kDefaultLogFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n";

/// A json_format before it is compiled: google.protobuf.Struct as a plain value.
struct JsonTemplate {
  using Fields = std::vector<std::pair<std::string, JsonTemplate>>;
  using Items = std::vector<JsonTemplate>;
  std::variant<std::nullptr_t, bool, double, std::string, Fields, Items> value = nullptr;
};

/// What is written for a value that is not there.
enum class Missing : uint8_t {
  Dash,   // "-"; null in JSON
  Empty,  // nothing; in JSON the field is left out (omit_empty_values)
};

class LogFormat {
 public:
  /// Errors say which command is wrong and where it begins.
  static absl::StatusOr<LogFormat> text(std::string_view format, Missing missing = Missing::Dash);
  /// Fields are written in the order of their names, one object per line. A string that is one
  /// command keeps the command's type: numbers are numbers.
  static absl::StatusOr<LogFormat> json(const JsonTemplate& json, Missing missing = Missing::Dash);

  void append(const http::StreamInfo& info, std::string& out) const;

  /// Literal text (no command) or a command.
  struct Piece {
    std::string literal;
    std::optional<LogCommand> command;
  };
  struct Node;  // of a JSON format

 private:
  LogFormat() = default;
  Missing missing_ = Missing::Dash;
  std::vector<Piece> pieces_;
  std::shared_ptr<const Node> json_;
};

}  // namespace remora::telemetry
