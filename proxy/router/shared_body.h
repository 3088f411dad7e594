// Bytes of bodies that are sent more than once, and of headers that are. Free functions.
#pragma once

#include "proxy/base/buffer.h"
#include "proxy/http/header_map.h"

namespace remora::router {

/// Shares the bytes of `from` with `copy`; both hold them afterwards.
void share(Buffer& from, Buffer& copy);

/// Adds all of `from` to `copy`, whose arena has a life of its own.
void copy_headers(const http::HeaderMap& from, http::HeaderMap& copy);

}  // namespace remora::router
