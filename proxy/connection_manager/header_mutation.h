// Edits of a header block whose values may have operators of the log's language:
// early_header_mutation_extensions and the headers of mapped local replies. Compiled on the main
// thread; applied by the stream's worker.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "proxy/base/string_match.h"
#include "proxy/http/header_map.h"
#include "proxy/http/stream_info.h"
#include "proxy/router/route_table.h"
#include "proxy/telemetry/log_format.h"

namespace remora::connection_manager {

struct HeaderMutation {
  enum class Kind : uint8_t { Remove, RemoveMatching, Add };
  Kind kind = Kind::Add;
  std::string name;  // lower case
  http::HeaderId id = http::HeaderId::Other;
  StringMatch names;                                  // of RemoveMatching
  std::shared_ptr<const telemetry::LogFormat> value;  // of Add, as is what follows
  router::HeaderEdit::Action action = router::HeaderEdit::Action::AppendOrAdd;
  bool keep_empty = false;
};

/// Applies them in order; they outlive `headers`. `scratch` is memory to use again. A value that
/// would break the header block is left out.
void apply(std::span<const HeaderMutation> mutations, const http::StreamInfo& info,
           std::string& scratch, http::HeaderMap& headers);

}  // namespace remora::connection_manager
