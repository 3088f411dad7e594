// An HTTP/2 server or client for tests: nghttp2's own, in memory. It records what came and answers,
// or asks, as told.
#pragma once

#include <nghttp2/nghttp2.h>

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace remora::http2 {

class TestPeer {
 public:
  enum class Side { Server, Client };
  using Fields = std::vector<std::pair<std::string, std::string>>;
  /// What came on a stream: a request at a server, a response at a client.
  struct Request {
    Fields headers, trailers;
    std::string body;
    bool ended = false;
    bool closed = false;
    uint32_t close_code = 0;
  };

  explicit TestPeer(std::vector<nghttp2_settings_entry> settings = {}, bool manual_windows = false,
                    Side side = Side::Server) {
    nghttp2_session_callbacks* calls;
    nghttp2_session_callbacks_new(&calls);
    nghttp2_session_callbacks_set_on_header_callback(calls, &TestPeer::on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, &TestPeer::on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, &TestPeer::on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, &TestPeer::on_close);
    nghttp2_option* option;
    nghttp2_option_new(&option);
    if (manual_windows) nghttp2_option_set_no_auto_window_update(option, 1);
    const auto make =
        side == Side::Server ? nghttp2_session_server_new2 : nghttp2_session_client_new2;
    make(&session, calls, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(calls);
    nghttp2_submit_settings(session, 0, settings.data(), settings.size());
  }
  ~TestPeer() { nghttp2_session_del(session); }
  TestPeer(const TestPeer&) = delete;

  long receive(std::string_view bytes) {
    return nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(bytes.data()),
                                    bytes.size());
  }
  std::string output() {
    std::string out;
    const uint8_t* data;
    for (ssize_t n; (n = nghttp2_session_mem_send(session, &data)) > 0;) {
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(n));
    }
    return out;
  }

  static std::vector<nghttp2_nv> fields(const Fields& fields) {
    std::vector<nghttp2_nv> out;
    for (auto& [name, value] : fields) {
      out.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                     value.size(), 0});
    }
    return out;
  }
  void headers(int32_t id, const Fields& list, bool end) {
    auto nv = fields(list);
    nghttp2_submit_headers(session, end ? NGHTTP2_FLAG_END_STREAM : 0, id, nullptr, nv.data(),
                           nv.size(), nullptr);
  }
  /// A client's: answers the id of the new stream.
  int32_t request(const Fields& list, bool end) {
    auto nv = fields(list);
    return nghttp2_submit_headers(session, end ? NGHTTP2_FLAG_END_STREAM : 0, -1, nullptr,
                                  nv.data(), nv.size(), nullptr);
  }
  /// Body from now on comes from `bodies[id]`; `end`: END_STREAM, or trailers when they are given.
  void data(int32_t id, std::string bytes, bool end, Fields trailers = {}) {
    Body& body = bodies[id];
    body.bytes += bytes;
    body.end = end;
    body.trailers = std::move(trailers);
    if (body.submitted) {
      nghttp2_session_resume_data(session, id);
      return;
    }
    body.submitted = true;
    nghttp2_data_provider provider;
    provider.source.ptr = this;
    provider.read_callback = &TestPeer::read;
    nghttp2_submit_data(session, NGHTTP2_FLAG_END_STREAM, id, &provider);
  }
  void reset(int32_t id, uint32_t code) { nghttp2_submit_rst_stream(session, 0, id, code); }
  void goaway(int32_t last_id, uint32_t code) {
    nghttp2_submit_goaway(session, 0, last_id, code, nullptr, 0);
  }

  nghttp2_session* session = nullptr;
  std::map<int32_t, Request> requests;
  uint32_t goaway_code = UINT32_MAX;
  int32_t goaway_last_id = -1;
  int pings = 0;

 private:
  struct Body {
    std::string bytes;
    Fields trailers;
    bool end = false;
    bool submitted = false;
  };
  std::map<int32_t, Body> bodies;

  static TestPeer& self(void* user) { return *static_cast<TestPeer*>(user); }
  static int on_header(nghttp2_session*, const nghttp2_frame* f, const uint8_t* n, size_t nl,
                       const uint8_t* v, size_t vl, uint8_t, void* user) {
    Request& r = self(user).requests[f->hd.stream_id];
    const bool first =
        f->headers.cat == NGHTTP2_HCAT_REQUEST || f->headers.cat == NGHTTP2_HCAT_RESPONSE;
    auto& list = first ? r.headers : r.trailers;
    list.emplace_back(std::string(reinterpret_cast<const char*>(n), nl),
                      std::string(reinterpret_cast<const char*>(v), vl));
    return 0;
  }
  static int on_data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* d, size_t n,
                     void* user) {
    self(user).requests[id].body.append(reinterpret_cast<const char*>(d), n);
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* f, void* user) {
    TestPeer& peer = self(user);
    if (f->hd.type == NGHTTP2_GOAWAY) {
      peer.goaway_code = f->goaway.error_code;
      peer.goaway_last_id = f->goaway.last_stream_id;
    }
    if (f->hd.type == NGHTTP2_PING && !(f->hd.flags & NGHTTP2_FLAG_ACK)) ++peer.pings;
    if (f->hd.stream_id != 0 && (f->hd.type == NGHTTP2_DATA || f->hd.type == NGHTTP2_HEADERS) &&
        (f->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
      peer.requests[f->hd.stream_id].ended = true;
    }
    return 0;
  }
  static int on_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    Request& r = self(user).requests[id];
    r.closed = true;
    r.close_code = code;
    return 0;
  }
  static ssize_t read(nghttp2_session* s, int32_t id, uint8_t* out, size_t length, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    Body& body = static_cast<TestPeer*>(source->ptr)->bodies[id];
    const size_t n = std::min(length, body.bytes.size());
    body.bytes.copy(reinterpret_cast<char*>(out), n);
    body.bytes.erase(0, n);
    if (body.bytes.empty() && body.end) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (!body.trailers.empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        auto nv = fields(body.trailers);
        nghttp2_submit_trailer(s, id, nv.data(), nv.size());
      }
    } else if (n == 0) {
      body.submitted = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    return static_cast<ssize_t>(n);
  }
};

}  // namespace remora::http2
