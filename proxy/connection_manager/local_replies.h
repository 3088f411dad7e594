// What becomes of the answers that the proxy gives by itself: another status, text or form, more
// headers (local_reply_config). Compiled on the main thread; applied by the stream's worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/connection_manager/header_mutation.h"
#include "proxy/http/header_map.h"
#include "proxy/http/local_reply.h"
#include "proxy/http/stream_info.h"
#include "proxy/telemetry/log_filter.h"
#include "proxy/telemetry/log_format.h"

namespace remora::connection_manager {

struct LocalReplies {
  struct BodyFormat {
    std::shared_ptr<const telemetry::LogFormat> format;
    std::string content_type;
  };
  struct Mapper {
    telemetry::LogFilter filter;
    std::optional<uint16_t> status;
    std::optional<std::string> body;
    std::optional<BodyFormat> format;
    std::vector<HeaderMutation> headers;
  };

  std::vector<Mapper> mappers;  // the first whose filter holds counts
  std::optional<BodyFormat> format;
};

/// Changes `reply` and its `headers` as configured. What is new lives in the headers' arena.
void apply(const LocalReplies& replies, http::StreamInfo& info, uint64_t random,
           std::string& scratch, http::LocalReply& reply, http::HeaderMap& headers);

}  // namespace remora::connection_manager
