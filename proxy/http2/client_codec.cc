// Between the connection's reads and writes and the session.
#include "proxy/http2/client_codec.h"

#include <utility>

namespace remora::http2 {

ClientCodec::ClientCodec(Connection& connection, http::ClientCodecHandler& handler,
                         const SessionOptions& options, size_t write_limit)
    : connection_(&connection),
      handler_(handler),
      loop_(connection.loop()),
      write_limit_(write_limit),
      session_(options, *this, loop_.timers(), loop_.blocks()) {
  on_work_pending();
}

bool ClientCodec::dispatch(Buffer& data, bool end_stream) {
  const bool healthy = session_.receive(data);
  if (healthy && !end_stream) return true;
  end_of_turn();  // what came before the end, and our GOAWAY
  if (!healthy) on_session_error(session_.error());
  return false;
}

void ClientCodec::on_session_error(std::string_view detail) {
  if (!std::exchange(error_told_, true)) handler_.on_codec_error(detail);
}

void ClientCodec::on_write_low_water() {
  write_blocked_ = false;
  on_work_pending();
}

void ClientCodec::on_connection_closed(http::ResetReason reason, std::string_view detail) {
  connection_ = nullptr;
  session_.abandon(reason, detail);
}

void ClientCodec::on_work_pending() {
  if (!queued()) loop_.at_end_of_turn(*this);
}

void ClientCodec::end_of_turn() {
  if (connection_ == nullptr || connection_->closing()) {
    Buffer nowhere(loop_.blocks());
    session_.turn(nowhere, 0);
    return;
  }
  Buffer& out = connection_->write_buffer();
  const size_t before = out.size();
  session_.turn(out, write_blocked_ ? 0 : write_limit_);
  if (connection_ != nullptr && out.size() != before) connection_->write_buffer_changed();
}

}  // namespace remora::http2
