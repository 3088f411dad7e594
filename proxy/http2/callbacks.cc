// nghttp2's callbacks. Its user data is the Session, a stream's user data the Stream.
#include "proxy/http2/callbacks.h"

#include <algorithm>

#include "proxy/http2/session.h"

namespace remora::http2 {

using Stat = stats::Http2Stat;

struct Callbacks {
  static Session& session(void* user) { return *static_cast<Session*>(user); }
  static Stream* stream(nghttp2_session* library, int32_t id) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(library, id));
  }

  // ------------------------------------------------------------------------------------ receiving

  static int on_begin_frame(nghttp2_session* library, const nghttp2_frame_hd* hd, void* user) {
    Session& self = session(user);
    const bool known = hd->stream_id != 0 && nghttp2_session_find_stream(library, hd->stream_id);
    const std::string_view flood =
        self.guard_.on_frame({hd->type, hd->flags, hd->length, known}, self.timers_.now());
    if (flood.empty()) return known ? 0 : on_stray(self, *hd);
    self.fail(flood, NGHTTP2_ENHANCE_YOUR_CALM);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  /// A head for a stream that is over: nghttp2 would ignore it, RFC 9113 section 5.1 wants it
  /// refused. (DATA for one it drops before anybody hears of it.)
  static int on_stray(Session& self, const nghttp2_frame_hd& hd) {
    if (self.role_ == Role::Client || hd.type != NGHTTP2_HEADERS) return 0;
    const bool was_open = hd.stream_id % 2 == 1 && hd.stream_id <= self.last_accepted_;
    if (!was_open || self.our_resets_.may_hold(hd.stream_id)) return 0;
    self.fail("http2.protocol_error{HEADERS for a closed stream}", NGHTTP2_STREAM_CLOSED);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int on_begin_headers(nghttp2_session* library, const nghttp2_frame* frame, void* user) {
    Stream* s = stream(library, frame->hd.stream_id);
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      s = session(user).accept_stream(frame->hd.stream_id);
    }
    session(user).arriving_ = s;
    if (s == nullptr || s->receiver_ == nullptr) return 0;
    Arena& arena = s->receiver_->arena();
    s->arriving_ = arena.make<http::HeaderMap>(arena);
    s->header_list_bytes_ = 0;
    s->header_count_ = 0;
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                       size_t name_length, const uint8_t* value, size_t value_length, uint8_t,
                       void* user) {
    Stream* s = session(user).arriving_;
    if (s == nullptr) session(user).count(Stat::headers_cb_no_stream);
    if (s == nullptr || s->arriving_ == nullptr) return 0;
    const bool ok = s->add_header({reinterpret_cast<const char*>(name), name_length},
                                  {reinterpret_cast<const char*>(value), value_length});
    return ok ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  /// A field with a forbidden byte: by itself nghttp2 would drop the field and go on.
  static int on_invalid_header(nghttp2_session* library, const nghttp2_frame* frame, const uint8_t*,
                               size_t, const uint8_t*, size_t, uint8_t, void*) {
    if (Stream* s = stream(library, frame->hd.stream_id)) s->detail_ = "http2.invalid.header.field";
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_data_chunk(nghttp2_session* library, uint8_t, int32_t id, const uint8_t* data,
                           size_t length, void* user) {
    Session& self = session(user);
    self.on_data(length);
    Stream* s = stream(library, id);
    if (s == nullptr || s->receiver_ == nullptr) {
      nghttp2_session_consume(library, id, length);
      return 0;
    }
    const std::string_view bytes(reinterpret_cast<const char*>(data), length);
    const bool in_block = bytes.data() >= self.input_.data() &&
                          bytes.data() + length <= self.input_.data() + self.input_.size();
    if (in_block && length >= Buffer::kCopyBelow) {
      s->received_.append_shared(self.input_block_, bytes);
    } else {
      s->received_.append(bytes);
    }
    self.news(*s);
    return 0;
  }

  static int on_frame_recv(nghttp2_session* library, const nghttp2_frame* frame, void* user) {
    Session& self = session(user);
    const nghttp2_frame_hd& hd = frame->hd;
    if (hd.stream_id == 0) return on_session_frame(self, library, *frame);
    Stream* s = stream(library, hd.stream_id);
    if (s == nullptr) return 0;
    s->wire_bytes_received_ += 9 + hd.length;
    if (hd.type == NGHTTP2_RST_STREAM) {
      s->remote_reset_ = true;
      self.count(Stat::rx_reset);
    }
    if (hd.type == NGHTTP2_HEADERS && s->arriving_ != nullptr && !s->headers_complete()) {
      if (self.role_ == Role::Server) return on_malformed(self, library, *s);
      return nghttp2_submit_rst_stream(library, NGHTTP2_FLAG_NONE, hd.stream_id,
                                       NGHTTP2_ENHANCE_YOUR_CALM);
    }
    const bool message = hd.type == NGHTTP2_HEADERS || hd.type == NGHTTP2_DATA;
    if (message && (hd.flags & NGHTTP2_FLAG_END_STREAM)) {
      s->remote_ended_ = true;
      s->headers_ended_ = hd.type == NGHTTP2_HEADERS && s->trailers_ == nullptr;
    }
    if (message) self.news(*s);
    return 0;
  }

  /// A request that must not be understood, whatever HTTP/2 thinks of its frames.
  static int on_malformed(Session& self, nghttp2_session* library, Stream& s) {
    if (self.options_.stream_error_on_invalid_message) {
      return nghttp2_submit_rst_stream(library, NGHTTP2_FLAG_NONE, s.id_, NGHTTP2_PROTOCOL_ERROR);
    }
    self.fail(s.detail_, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int on_session_frame(Session& self, nghttp2_session* library, const nghttp2_frame& frame) {
    switch (frame.hd.type) {
      case NGHTTP2_SETTINGS:
        if (!(frame.hd.flags & NGHTTP2_FLAG_ACK)) {
          self.peer_settings_came_ = true;
          self.max_streams_changed_ =
              nghttp2_session_get_remote_settings(library, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
        }
        break;
      case NGHTTP2_PING:
        if (frame.hd.flags & NGHTTP2_FLAG_ACK) self.on_ping_answered(frame.ping.opaque_data);
        break;
      case NGHTTP2_GOAWAY:
        self.draining_ = true;
        break;
      default:
        break;
    }
    return 0;
  }

  static int on_invalid_frame(nghttp2_session* library, const nghttp2_frame* frame, int code,
                              void* user) {
    Session& self = session(user);
    if (code == NGHTTP2_ERR_REFUSED_STREAM) self.count(Stat::stream_refused_errors);
    if (frame->hd.stream_id == 0) return 0;
    const std::string_view detail = code == NGHTTP2_ERR_HTTP_HEADER
                                        ? "http2.invalid.header.field"
                                        : "http2.violation.of.messaging.rule";
    Stream* s = stream(library, frame->hd.stream_id);
    if (s != nullptr && s->detail_.empty()) s->detail_ = detail;
    if (code != NGHTTP2_ERR_HTTP_HEADER && code != NGHTTP2_ERR_HTTP_MESSAGING) return 0;
    self.count(Stat::rx_messaging_error);
    if (self.options_.stream_error_on_invalid_message) return 0;
    self.fail(s != nullptr ? s->detail_ : detail, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int on_stream_close(nghttp2_session* library, int32_t id, uint32_t code, void* user) {
    Session& self = session(user);
    Stream* s = stream(library, id);
    if (s == nullptr) return 0;
    s->closed_ = true;
    s->close_code_ = code;
    nghttp2_session_set_stream_user_data(library, id, nullptr);
    if (s->receiver_ == nullptr) {
      self.bury(*s);
    } else {
      self.news(*s);
    }
    return 0;
  }

  static int on_error(nghttp2_session*, int, const char* message, size_t length, void* user) {
    Session& self = session(user);
    if (self.error_.empty()) self.library_message_.assign(message, length);
    return 0;
  }

  // -------------------------------------------------------------------------------------- sending

  static ssize_t read_body(nghttp2_session* library, int32_t id, uint8_t*, size_t length,
                           uint32_t* flags, nghttp2_data_source* source, void*) {
    Stream& s = *static_cast<Stream*>(source->ptr);
    if (s.tunnel_ == Stream::Tunnel::Asked) {
      s.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t bytes = std::min(length, s.pending_.size());
    const bool last = bytes == s.pending_.size() && s.end_after_pending_;
    if (bytes == 0 && !last) {
      s.deferred_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (last && !s.send_trailers_.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      submit_trailers(library, id, s);
    }
    return static_cast<ssize_t>(bytes);
  }

  static void submit_trailers(nghttp2_session* library, int32_t id, Stream& s) {
    std::vector<nghttp2_nv> fields;
    for (auto& [name, value] : s.send_trailers_) {
      fields.push_back({reinterpret_cast<uint8_t*>(name.data()),
                        reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                        NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_submit_trailer(library, id, fields.data(), fields.size());
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t length,
                       nghttp2_data_source* source, void* user) {
    Session& self = session(user);
    Stream& s = *static_cast<Stream*>(source->ptr);
    if (self.out_->size() >= self.out_max_bytes_) return NGHTTP2_ERR_WOULDBLOCK;
    self.out_->append({reinterpret_cast<const char*>(header), 9});
    self.out_->append(s.pending_, length);
    self.uncount(Stat::pending_send_bytes, length);
    self.unsettled(s);
    return 0;
  }

  static int on_frame_send(nghttp2_session* library, const nghttp2_frame* frame, void* user) {
    const nghttp2_frame_hd& hd = frame->hd;
    Session& self = session(user);
    self.outbound_.on_frame(hd.type);
    if (hd.type == NGHTTP2_DATA) self.guard_.on_data_frame_sent();
    if (hd.type == NGHTTP2_RST_STREAM) {
      self.count(Stat::tx_reset);
      self.our_resets_.add(hd.stream_id);
    }
    if (hd.type == NGHTTP2_GOAWAY) {
      self.count(Stat::goaway_sent);
      self.on_goaway_sent(frame->goaway.error_code);
    }
    Stream* s = hd.stream_id == 0 ? nullptr : stream(library, hd.stream_id);
    if (s == nullptr) return 0;
    s->wire_bytes_sent_ += 9 + hd.length;
    const bool message = hd.type == NGHTTP2_HEADERS || hd.type == NGHTTP2_DATA;
    if (!message || !(hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    s->local_ended_ = true;
    // Nobody wants the rest of the request (RFC 9113 section 8.1).
    if (session(user).role_ == Role::Server && !s->remote_ended_ && !s->in_open_tunnel()) {
      nghttp2_submit_rst_stream(library, NGHTTP2_FLAG_NONE, hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
  }
};

const nghttp2_session_callbacks* callbacks() {
  static nghttp2_session_callbacks* const table = [] {
    nghttp2_session_callbacks* t = nullptr;
    nghttp2_session_callbacks_new(&t);
    nghttp2_session_callbacks_set_on_begin_frame_callback(t, Callbacks::on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(t, Callbacks::on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(t, Callbacks::on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(t, Callbacks::on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(t, Callbacks::on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(t, Callbacks::on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(t, Callbacks::on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(t, Callbacks::on_stream_close);
    nghttp2_session_callbacks_set_error_callback2(t, Callbacks::on_error);
    nghttp2_session_callbacks_set_send_data_callback(t, Callbacks::send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(t, Callbacks::on_frame_send);
    return t;
  }();
  return table;
}

nghttp2_data_provider body_of(Stream& stream) {
  nghttp2_data_provider provider;
  provider.source.ptr = &stream;
  provider.read_callback = Callbacks::read_body;
  return provider;
}

}  // namespace remora::http2
