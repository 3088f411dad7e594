// How HTTP/1 connections are read and written; part of a listener's or cluster's immutable
// configuration. Documents: envoy.config.core.v3.Http1ProtocolOptions, HttpProtocolOptions. Any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/base/string_match.h"
#include "proxy/http/header_spelling.h"
#include "proxy/http/underscores.h"

namespace remora::http1 {

/// How much one message head, or one block of trailers, may hold.
struct HeadLimits {
  uint32_t max_bytes = 60 * 1024;  // start line included
  uint32_t max_fields = 100;
};

/// Chunk extensions are dropped; a peer that sends more than this of them in one message is
/// refused.
inline constexpr uint32_t kMaxChunkExtensionBytes = 4 * 1024;

/// Longer field names are refused.
inline constexpr uint32_t kMaxFieldNameBytes = 255;

/// 1xx answers before the final one that a server may send.
inline constexpr uint32_t kMaxInformationalResponses = 100;

/// Of a downstream connection.
struct Options {
  HeadLimits limits;
  bool accept_http_10 = false;
  std::string default_host_for_http_10;  // empty: a request without Host stays without :authority
  bool enable_trailers = false;          // otherwise trailers are checked and dropped
  bool allow_absolute_url = true;        // otherwise :path is the target as it came
  bool allow_custom_methods = false;
  std::vector<StringMatch> ignored_upgrades;  // served as plain requests, whatever is configured
  http::Underscores underscores = http::Underscores::Allow;
  http::NameOptions names;
};

/// Of an upstream connection.
struct ClientOptions {
  HeadLimits limits{80 * 1024, 100};
  bool enable_trailers = false;
  bool full_url = false;  // the request line has scheme and host, as for a forward proxy
  http::NameOptions names;
};

}  // namespace remora::http1
