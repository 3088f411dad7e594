// What both codecs share: the bytes of a Connection go into a Session and its frames come out, all
// of a loop turn together at its end. Base of the codecs; the connection's thread only.
#pragma once

#include <cstddef>
#include <string_view>

#include "proxy/event/event_loop.h"
#include "proxy/http2/session.h"
#include "proxy/net/connection.h"

namespace remora::http2 {

class SessionIo : protected SessionUser, private EndOfTurn {
 protected:
  /// `write_limit` is the connection's high-water mark in bytes; 0: none.
  SessionIo(Role role, Connection& connection, const SessionOptions& options, size_t write_limit,
            SessionStats* stats);

  /// Takes in all of `data`. False: the connection must be closed; what came before is delivered
  /// and the GOAWAY that explains it is written.
  bool take_in(Buffer& data, bool end_stream);
  void block_writing() { write_blocked_ = true; }
  void go_on_writing();
  /// What else the end of this turn would do. Not from within a callback of the session.
  void write_now() { end_of_turn(); }
  /// The connection is gone.
  void abandon(http::ResetReason reason, std::string_view detail);

  Session& session() { return session_; }
  const Session& session() const { return session_; }

 private:
  void on_work_pending() final;
  void end_of_turn() final;

  Connection* connection_;  // null once it closed
  EventLoop& loop_;
  const size_t write_limit_;
  bool write_blocked_ = false;
  Session session_;
};

}  // namespace remora::http2
