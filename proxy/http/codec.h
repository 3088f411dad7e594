// The seam between codecs (HTTP/1, HTTP/2) and what is above them. One vocabulary for both
// directions: a StreamReceiver hears one message of a stream, a StreamSender sends one. A server
// codec makes receivers for requests and is the sender of responses; a client codec is the sender
// of requests. Rules: nothing calls back before a send returns (effects come in a later call from
// the loop or codec dispatch); after on_reset or after both directions have ended the codec forgets
// the stream: neither side calls the other again. Thread: the connection's worker. CONTRACT.
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/http/header_map.h"

namespace remora::http {

enum class Protocol : uint8_t { Http10, Http11, Http2 };
std::string_view protocol_name(Protocol p);  // "HTTP/1.0", "HTTP/1.1", "HTTP/2"

enum class ResetReason : uint8_t {
  LocalReset,        // our side gave up
  RemoteReset,       // peer reset the stream (RST_STREAM)
  RemoteRefused,     // REFUSED_STREAM or GOAWAY: provably not processed
  ConnectionClosed,  // connection ended under the stream (FIN or RST by the peer, local close)
  ConnectFailed,     // never got a connection
  ConnectTimeout,
  Overflow,        // circuit breaker
  ProtocolError,   // peer broke the protocol
  IncompleteBody,  // connection ended before content-length or the last chunk
};
/// Envoy's words for it, as in "... reset reason: connection termination".
std::string_view reset_reason_text(ResetReason reason);

/// Where a codec's sending side asks its user to stop and go on (write buffer over/under water
/// marks). Hears one message. Implemented above the codec.
class StreamReceiver {
 public:
  /// Arena that the message's headers are put into (views into connection blocks get pinned by it).
  virtual Arena& arena() = 0;

  /// 1xx other than 101; responses only. 100-continue comes here too.
  virtual void on_informational(HeaderMap& /*headers*/) {}
  /// `headers` lives until the stream ends. Pseudo-headers are in the map: requests :method :path
  /// :authority :scheme (HTTP/1 has Host turned into :authority), responses :status.
  /// Connection-level fields of HTTP/1 (connection, keep-alive, transfer-encoding, ...) are still
  /// there in requests for the connection manager.
  virtual void on_headers(HeaderMap& headers, bool end_stream) = 0;
  /// Takes what it likes of `data`, normally all by moving it; the codec counts on it being
  /// consumed.
  virtual void on_data(Buffer& data, bool end_stream) = 0;
  virtual void on_trailers(HeaderMap& trailers) = 0;  // ends the stream
  /// The last call. `detail` is a response-code-details style text
  /// ("upstream_reset_before_response_started{...}").
  virtual void on_reset(ResetReason reason, std::string_view detail) = 0;

  /// Back-pressure of the opposite direction of the same stream: what this stream *sends* is not
  /// leaving.
  virtual void on_send_high_water() {}
  virtual void on_send_low_water() {}

 protected:
  ~StreamReceiver() = default;
};

/// Sends one message, in the order informational* headers data* trailers?, `end_stream` on the last
/// piece. Where an answer opens a tunnel (101, 2xx to CONNECT) each direction ends for itself.
/// Implemented by codecs. Header maps are encoded before the call returns.
class StreamSender {
 public:
  virtual void send_informational(const HeaderMap& headers) = 0;  // server side only: 100, 103
  virtual void send_headers(const HeaderMap& headers, bool end_stream) = 0;
  virtual void send_data(Buffer& data, bool end_stream) = 0;  // moves the bytes out of `data`
  virtual void send_trailers(const HeaderMap& trailers) = 0;
  /// Abandons the stream in both directions. HTTP/1: closes the connection unless nothing was sent
  /// or begun. The receiver is not called any more.
  virtual void reset(ResetReason reason) = 0;

  /// Stops and restarts delivery of the *received* message (counted: each pause needs a resume).
  virtual void pause_receiving() = 0;
  virtual void resume_receiving() = 0;

  virtual Protocol protocol() const = 0;
  virtual uint64_t wire_bytes_sent() const = 0;  // of this stream, headers included
  virtual uint64_t wire_bytes_received() const = 0;

  /// Server side, from inside on_headers() of a request that wants an upgrade: it is served as a
  /// plain request, which has ended. HTTP/2 has no such thing.
  virtual void decline_upgrade() {}

 protected:
  ~StreamSender() = default;
};

// ----------------------------------------------------------------------------------------------
// server side

/// Implemented by the connection manager; one per downstream connection.
class ServerCodecHandler {
 public:
  /// The first byte of a request has come. The answer stays valid until the stream ends.
  virtual StreamReceiver& on_new_stream(StreamSender& response) = 0;
  /// The message could not be understood. The codec has already decided what the RFC wants:
  /// `status` (400, 413, 431, 501, 505 ...) should be answered on the current stream (its receiver
  /// has had no on_headers yet, or has), then the connection closed. `detail` is the response-code
  /// detail ("http1.codec_error", "http1.too_many_headers"). HTTP/1 calls it once, before closing;
  /// the handler answers through the stream's sender. HTTP/2 says status 0: the connection as a
  /// whole has failed, its streams were reset, and it must be closed.
  virtual void on_codec_error(uint16_t status, std::string_view detail) = 0;
  /// Fields of a request were left out because their names have an underscore.
  virtual void on_fields_dropped(size_t /*count*/) {}
  /// HTTP/2 GOAWAY from the client.
  virtual void on_goaway() {}
  /// HTTP/2: the last open stream is over and the client has all of its response.
  virtual void on_codec_idle() {}

 protected:
  ~ServerCodecHandler() = default;
};

class ServerCodec {
 public:
  virtual ~ServerCodec() = default;
  /// Bytes from the client; consumes what it can. `end_stream`: FIN. Answers false when the
  /// connection must be closed once what is buffered was written (after on_codec_error, or FIN with
  /// nothing outstanding).
  virtual bool dispatch(Buffer& data, bool end_stream) = 0;
  virtual void on_write_high_water() = 0;  // connection's write buffer
  virtual void on_write_low_water() = 0;
  /// Graceful end: HTTP/1 the next response carries connection: close; HTTP/2 GOAWAY (max id, then
  /// real).
  virtual void start_drain() = 0;
  /// HTTP/2: the client had its time to hear of start_drain(); what it opens from now on is
  /// ignored.
  virtual void finish_drain() {}
  /// The connection is gone: every open stream hears on_reset(ConnectionClosed).
  virtual void on_connection_closed() = 0;
  virtual bool idle() const = 0;  // no open stream, no half-read request
  virtual bool wants_close()
      const = 0;  // after the last response: close (connection: close, error, drained)
  virtual Protocol protocol() const = 0;
};

// ----------------------------------------------------------------------------------------------
// client side

class ClientCodecHandler {
 public:
  /// The connection takes no new streams any more (GOAWAY, `connection: close`, framing error).
  virtual void on_codec_draining() = 0;
  /// A stream has ended; its slot is free when can_take_stream().
  virtual void on_stream_ended() = 0;
  /// The server failed a stream (it broke the protocol, or ended the connection too early);
  /// on_stream_ended() follows.
  virtual void on_stream_failed(ResetReason reason) {}
  /// The peer broke the protocol: close the connection, count it.
  virtual void on_codec_error(std::string_view detail) = 0;
  /// HTTP/2 SETTINGS changed how many streams fit.
  virtual void on_max_streams(uint32_t max) {}

 protected:
  ~ClientCodecHandler() = default;
};

class ClientCodec {
 public:
  virtual ~ClientCodec() = default;
  /// Opens a stream whose response `response` hears. Only when can_take_stream().
  virtual StreamSender& new_stream(StreamReceiver& response) = 0;
  virtual bool can_take_stream() const = 0;
  virtual size_t active_streams() const = 0;
  /// Bytes from the server; false when the connection must be closed now.
  virtual bool dispatch(Buffer& data, bool end_stream) = 0;
  virtual void on_write_high_water() = 0;
  virtual void on_write_low_water() = 0;
  virtual void on_connection_closed(ResetReason reason, std::string_view detail) = 0;
  virtual Protocol protocol() const = 0;
};

}  // namespace remora::http
