// The shape of an answer that the proxy gives by itself: plain text, or for gRPC requests a status
// in trailers-only form. Pure; in the stream's arena.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/http/filter.h"
#include "proxy/http/header_map.h"

namespace remora::http {

/// Who asks: what of the request, as it came, shapes the answer. The default: it was not
/// understood.
struct Asker {
  bool grpc = false;
  bool head = false;  // the method

  static Asker of(const HeaderMap& request);
};

/// What is answered, until it is complete.
struct LocalReply {
  uint16_t status = 0;
  std::string_view body = {};
  std::string_view content_type = "text/plain";
  std::optional<GrpcStatus> grpc_status = {};  // none: what stands for `status`
};

/// The headers, with nothing but a status; whoever answers adds what is his.
HeaderMap& begin_local_reply(uint16_t status, Arena& arena);

/// Adds what describes the body, unless the headers say it already. Answers the body to send;
/// empty: the headers end the stream.
std::string_view complete_local_reply(const LocalReply& reply, Asker asker, HeaderMap& response);

}  // namespace remora::http
