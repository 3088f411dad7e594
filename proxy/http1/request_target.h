// The four forms of a request target (RFC 9112 section 3.2) as :path, :authority and :scheme. Pure
// functions of their arguments; any thread.
#pragma once

#include <string_view>

#include "proxy/base/arena.h"

namespace remora::http1 {

struct RequestTarget {
  std::string_view error_detail;  // not empty: refused with 400
  std::string_view path;          // empty for CONNECT
  std::string_view authority;     // of the absolute and authority forms; overrides Host
  std::string_view scheme;        // "http" or "https" of the absolute form
};

/// `target` holds visible ASCII only. `allow_absolute`: otherwise an absolute form becomes the path
/// as it is.
RequestTarget read_request_target(std::string_view method, std::string_view target,
                                  bool allow_absolute, Arena& arena);

}  // namespace remora::http1
