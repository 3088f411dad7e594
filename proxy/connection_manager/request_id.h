// x-request-id: a version 4 UUID that names a request on its whole way, and in its fourteenth digit
// says whether the request is traced, as Envoy's extension writes it. Pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/connection_manager/config.h"
#include "proxy/connection_manager/forwarded.h"
#include "proxy/http/header_map.h"

namespace remora::connection_manager {

/// Sets x-request-id as configured; `random` are two draws.
void apply_request_id(const HttpConfig& config, const Origin& origin, uint64_t random_high,
                      uint64_t random_low, http::HeaderMap& request);

/// Writes into the id whether the request is traced, by what it says itself and by the configured
/// shares. Without `config.tracing`, and where the id is none, nothing is written.
void pack_trace_reason(const HttpConfig& config, uint64_t random, http::HeaderMap& request);

/// A version 4 UUID made of 128 random bits, in `arena`.
std::string_view make_uuid(uint64_t high, uint64_t low, Arena& arena);

}  // namespace remora::connection_manager
