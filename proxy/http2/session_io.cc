// Between the connection's reads and writes and the session.
#include "proxy/http2/session_io.h"

#include <cstdint>

namespace remora::http2 {

SessionIo::SessionIo(Role role, Connection& connection, const SessionOptions& options,
                     size_t write_limit, SessionStats* stats)
    : connection_(&connection),
      loop_(connection.loop()),
      write_limit_(write_limit == 0 ? SIZE_MAX : write_limit),
      session_(role, options, *this, loop_.timers(), loop_.blocks(), stats) {
  on_work_pending();
}

bool SessionIo::take_in(Buffer& data, bool end_stream) {
  const bool healthy = session_.receive(data);
  if (healthy && !end_stream) return true;
  end_of_turn();
  return false;
}

void SessionIo::go_on_writing() {
  write_blocked_ = false;
  on_work_pending();
}

void SessionIo::abandon(http::ResetReason reason, std::string_view detail) {
  connection_ = nullptr;
  session_.abandon(reason, detail);
}

void SessionIo::on_work_pending() {
  if (!queued()) loop_.at_end_of_turn(*this);
}

void SessionIo::end_of_turn() {
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
