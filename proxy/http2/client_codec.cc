#include "proxy/http2/client_codec.h"

#include <utility>

namespace remora::http2 {

bool ClientCodec::dispatch(Buffer& data, bool end_stream) {
  if (take_in(data, end_stream)) return true;
  if (session().broken()) on_session_error(session().error());
  return false;
}

void ClientCodec::on_session_error(std::string_view detail) {
  if (std::exchange(error_told_, true)) return;
  handler_.on_codec_error(detail);
  if (detail != kKeepaliveTimeout) session().abandon(http::ResetReason::ProtocolError, detail);
}

}  // namespace remora::http2
