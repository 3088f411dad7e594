// Where nghttp2 calls back: each call is turned into a change of a Stream or of its Session, never
// into a call of a user. Private to this room.
#pragma once

#include <nghttp2/nghttp2.h>

#include "proxy/http2/stream.h"

namespace remora::http2 {

/// One table for all sessions of the process, made at first use.
const nghttp2_session_callbacks* callbacks();

/// Reads what the stream has pending.
nghttp2_data_provider body_of(Stream& stream);

}  // namespace remora::http2
