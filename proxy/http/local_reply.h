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

/// The headers, with nothing but a status; whoever answers adds what is his.
HeaderMap& begin_local_reply(uint16_t status, Asker asker, Arena& arena);

/// Adds what describes the body. Answers the body to send; empty: the headers end the stream.
std::string_view complete_local_reply(const Failure& failure, std::string_view body, Asker asker,
                                      HeaderMap& response);

}  // namespace remora::http
