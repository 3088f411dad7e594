// A client's whole connection: the requests that are served must not depend on segmentation, and
// forwarding them must give the same requests again to the next reader.
#include <memory>

#include "proxy/http/upgrade.h"
#include "proxy/http1/client_codec.h"
#include "proxy/http1/fuzz_support.h"
#include "proxy/http1/server_codec.h"

namespace remora::http1 {
namespace {

EventLoop& shared_loop() {
  static EventLoop loop;
  return loop;
}

/// Serves a connection and answers each request at once; writes down what was asked.
class Server : public http::ServerCodecHandler, public http::ClientCodecHandler {
 public:
  explicit Server(bool forward, bool remember_names = false) : forward_(forward) {
    options_.names.remember = remember_names;
    options_.limits = {2048, 20};
    options_.enable_trailers = true;
    options_.accept_http_10 = true;
    codec_ = std::make_unique<ServerCodec>(wire_.connection(), *this, options_);
  }

  void serve(const std::vector<std::string_view>& pieces) {
    for (const std::string_view piece : pieces) {
      wire_.input().append(piece);
      if (!codec_->dispatch(wire_.input(), false)) return;
      // What a connection does once reading goes on.
      while (!wire_.input().empty() && !wire_.connection().reading_paused() && codec_->idle()) {
        const size_t before = wire_.input().size();
        if (!codec_->dispatch(wire_.input(), false)) return;
        if (wire_.input().size() == before) break;
      }
    }
    codec_->dispatch(wire_.input(), true);
  }

  const std::string& log() const { return log_; }
  const std::string& forwarded() const { return forwarded_; }

 private:
  http::StreamReceiver& on_new_stream(http::StreamSender& response) override {
    request_ = std::make_unique<test::Recorder>(shared_loop().blocks());
    sender_ = &response;
    request_->then_on_headers = [this](http::HeaderMap& map, bool end) {
      test::require_writable(map);
      headers_ = &map;
      tunnel_ = false;
      if (end) {
        finish_request();
      } else if (!http::wanted_tunnel(map).empty()) {
        decide_tunnel(map);
      }
    };
    request_->then_on_data = [this](bool end) {
      if (end) finish_request();
    };
    return *request_;
  }
  void on_codec_error(uint16_t status, std::string_view detail) override {
    log_ += "refused " + std::to_string(status) + " " + std::string(detail) + "\n";
    answer(std::to_string(status));
  }
  void on_codec_draining() override {}
  void on_stream_ended() override {}
  void on_codec_error(std::string_view) override {}

  /// Some are opened, some refused, and some upgrades taken for plain requests.
  void decide_tunnel(const http::HeaderMap& map) {
    const bool connect = http::wanted_tunnel(map) == http::kConnect;
    if (map.path().starts_with("/plain")) {
      sender_->decline_upgrade();
      finish_request();
    } else if (map.path().starts_with("/no") || map.authority().starts_with("no")) {
      log_ += "refused\n";
      answer("403");
    } else {
      tunnel_ = true;
      test::Message message(shared_loop().blocks(), {{":status", connect ? "200" : "101"}});
      sender_->send_headers(message.map(), false);
    }
  }
  void finish_request() {
    log_ += request_->all() + "\n";
    if (tunnel_) {
      Buffer nothing(shared_loop().blocks());
      sender_->send_data(nothing, true);
      return;
    }
    if (forward_) forward();
    answer("200");
  }
  void answer(const std::string& status) {
    test::Message message(shared_loop().blocks(), {{":status", status}});
    sender_->send_headers(message.map(), true);
  }

  /// Writes the request as it would go to an upstream.
  void forward() {
    test::Wire upstream(shared_loop());
    ClientOptions options;
    options.enable_trailers = true;
    ClientCodec client(upstream.connection(), *this, options);
    test::Recorder response(shared_loop().blocks());
    http::StreamSender& out = client.new_stream(response);
    headers_->remove(http::HeaderId::Connection);
    const bool has_body = !request_->body.empty() || !request_->trailers.empty();
    out.send_headers(*headers_, !has_body);
    if (has_body) {
      Buffer body(shared_loop().blocks());
      body.append(request_->body);
      out.send_data(body, true);
    }
    forwarded_ += upstream.take_output();
    expected_ += std::string(headers_->method()) + " " + std::string(headers_->path()) + " " +
                 std::string(headers_->authority()) + " " + request_->body + "\n";
  }

 public:
  /// Method, path, authority and body of each request that was forwarded.
  std::string expected_;

 private:
  const bool forward_;
  bool tunnel_ = false;
  Options options_;
  test::Wire wire_{shared_loop()};
  std::unique_ptr<test::Recorder> request_;
  http::HeaderMap* headers_ = nullptr;
  http::StreamSender* sender_ = nullptr;
  std::string log_;
  std::string forwarded_;
  std::unique_ptr<ServerCodec> codec_;
};

}  // namespace
}  // namespace remora::http1

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::http1;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Server whole(true);
  whole.serve({bytes});
  for (const size_t longest : {1, 7, 100}) {
    Server pieces(false);
    pieces.serve(test::cut(bytes, longest));
    test::require_same("segmentation changes what is served", whole.log(), pieces.log());
  }
  Server spelled(true, true);
  spelled.serve(test::cut(bytes, 7));
  test::require_same("remembering names changes what is served", whole.log(), spelled.log());
  Server after_spelled(false);
  after_spelled.serve({spelled.forwarded()});
  Server after_whole(false);
  after_whole.serve({whole.forwarded()});
  test::require_same("how names are spelled changes what is read", after_whole.log(),
                     after_spelled.log());
  Server next(true);
  next.serve({whole.forwarded()});
  test::require_same("the next reader sees other requests", whole.expected_, next.expected_);
  return 0;
}
