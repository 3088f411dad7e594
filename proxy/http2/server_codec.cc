#include "proxy/http2/server_codec.h"

#include <string>
#include <utility>

namespace remora::http2 {

using http::ResetReason;

bool ServerCodec::dispatch(Buffer& data, bool end_stream) {
  if (take_in(data, end_stream)) return true;
  if (session().broken()) on_session_error(session().error());
  return false;
}

/// Its streams cannot be answered any more: the peer's next byte has no meaning.
void ServerCodec::on_session_error(std::string_view detail) {
  if (std::exchange(error_told_, true)) return;
  const std::string why(detail);
  session().abandon(ResetReason::ProtocolError, why);
  handler_.on_codec_error(0, why);
}

void ServerCodec::on_connection_closed() {
  error_told_ = true;
  abandon(ResetReason::ConnectionClosed, "downstream_remote_disconnect");
}

/// At once: the connection may be closed next, and the client must know what was not processed.
void ServerCodec::finish_drain() {
  session().finish_drain();
  write_now();
}

bool ServerCodec::give_up(std::string_view detail) {
  if (session().broken()) return false;
  session().give_up(detail);
  return true;
}

void ServerCodec::on_stream_ended() {
  if (idle()) handler_.on_codec_idle();
}

void ServerCodec::on_goaway() {
  client_leaves_ = true;
  handler_.on_goaway();
}

}  // namespace remora::http2
