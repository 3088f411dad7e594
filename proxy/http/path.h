// Normalisation of a request's path, in the three steps that a connection manager may be configured
// with, each a pure function: escaped slashes, RFC 3986 dot segments, repeated slashes. A query
// ("?...") is never changed. Answers what Envoy's normalize_path, merge_slashes and
// path_with_escaped_slashes_action do. Any thread.
#pragma once

#include <string_view>

#include "proxy/base/arena.h"

namespace remora::http {

/// The path without its query.
std::string_view path_without_query(std::string_view path_and_query);

/// True when the path holds "#": a fragment never belongs on the wire, and two readers would cut it
/// differently.
bool has_fragment(std::string_view path_and_query);

struct NormalizedPath {
  bool ok = true;  // false: the path must be refused (path_normalization_failed)
  bool changed = false;
  std::string_view path;  // the argument itself when nothing changed, else in the arena
};

/// Removes dot segments (also those written %2e, with a backslash, or with a ";parameter"), decodes
/// what needs no escape, escapes what needs one. Refuses %00 and a path that does not begin with
/// "/".
NormalizedPath normalize_path(std::string_view path_and_query, Arena& arena);

/// "/a//b///c" becomes "/a/b/c".
NormalizedPath merge_slashes(std::string_view path_and_query, Arena& arena);

/// True when %2F or %5C (in either case) occurs in the path.
bool has_escaped_slashes(std::string_view path_and_query);

/// %2F becomes "/", %5C becomes "\".
NormalizedPath unescape_slashes(std::string_view path_and_query, Arena& arena);

}  // namespace remora::http
