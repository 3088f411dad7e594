// Keeps a client's session on one host: asks for the host that the request names, and tells the
// client when it is another. Made per stream in its arena; its worker's thread. Document:
// envoy.extensions.filters.http.stateful_session.v3.StatefulSession.
#pragma once

#include <string>
#include <string_view>

#include "filters/http/stateful_session/session_state.h"
#include "proxy/http/filter.h"

namespace remora::stateful_session {

struct FilterConfig {
  std::string filter_name;
  SessionConfig session;
};

class StatefulSession final : public http::Filter {
 public:
  StatefulSession(http::FilterStream& stream, const FilterConfig& config)
      : stream_(stream), config_(config) {}

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_response_headers(http::HeaderMap& headers, bool end_stream) override;

 private:
  uint64_t now_s() const;

  http::FilterStream& stream_;
  const FilterConfig& config_;
  const SessionConfig* session_ = nullptr;  // null: no session is kept
  std::string_view named_;                  // the host that the client asks for; empty: none
};

}  // namespace remora::stateful_session
