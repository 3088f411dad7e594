// What is demanded of a request's headers before anybody else sees them, and how they are brought
// into their final form: host, path, hop-by-hop fields, Expect, Upgrade. Pure functions of
// (configuration, headers). The stream's worker thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/connection_manager/config.h"
#include "proxy/http/failure.h"
#include "proxy/http/header_map.h"

namespace remora::connection_manager {

enum class HeadProblem : uint8_t {
  None,
  MissingHost,
  MissingPath,
  RelativePath,
  PathNormalization,
  RedirectToNormalizedPath,  // :path holds where to
  Expectation,
};

/// The failure that answers a problem.
const http::Failure& failure_of(HeadProblem problem);

/// Checks and normalises host and path. `local_port` is the port that the client connected to.
HeadProblem check_head(const HttpConfig& config, uint16_t local_port, http::HeaderMap& request);

/// Whether the client waits for 100 Continue before it sends the body.
bool expects_continue(const http::HeaderMap& request);

/// Removes what concerns only the client's connection, of TE all but "trailers", and a Referer that
/// is none. An upgrade that the codec let through keeps Connection and Upgrade.
void remove_request_hop_by_hop(http::HeaderMap& request);

/// The same for a response on its way to the client.
void remove_response_hop_by_hop(http::HeaderMap& response);

}  // namespace remora::connection_manager
