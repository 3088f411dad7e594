// Words for the codecs' vocabulary. Constant data; any thread.
#include "proxy/http/codec.h"

namespace remora::http {

std::string_view protocol_name(Protocol p) {
  switch (p) {
    case Protocol::Http10:
      return "HTTP/1.0";
    case Protocol::Http11:
      return "HTTP/1.1";
    case Protocol::Http2:
      return "HTTP/2";
  }
  return "";
}

std::string_view reset_reason_text(ResetReason reason) {
  switch (reason) {
    case ResetReason::LocalReset:
      return "local reset";
    case ResetReason::RemoteReset:
      return "remote reset";
    case ResetReason::RemoteRefused:
      return "remote refused stream reset";
    case ResetReason::ConnectionClosed:
      return "connection termination";
    case ResetReason::ConnectFailed:
      return "remote connection failure";
    case ResetReason::ConnectTimeout:
      return "connection timeout";
    case ResetReason::Overflow:
      return "overflow";
    case ResetReason::ProtocolError:
    case ResetReason::IncompleteBody:
      return "protocol error";
  }
  return "";
}

}  // namespace remora::http
