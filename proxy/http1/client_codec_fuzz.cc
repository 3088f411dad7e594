// A server's whole connection: what a stream hears must not depend on segmentation, and no byte of
// one response may ever reach the stream behind it.
#include <memory>

#include "proxy/http1/client_codec.h"
#include "proxy/http1/fuzz_support.h"

namespace remora::http1 {
namespace {

/// Stands for a GET that asks for an upgrade.
constexpr const char* kUpgrade = "upgrade";

EventLoop& shared_loop() {
  static EventLoop loop;
  return loop;
}

/// Sends one request after the other for as long as the connection may be used.
class Client : public http::ClientCodecHandler {
 public:
  explicit Client(std::string_view method) : method_(method) {
    options_.limits = {2048, 20};
    options_.enable_trailers = true;
    codec_ = std::make_unique<ClientCodec>(wire_.connection(), *this, options_);
    begin_request();
  }

  std::string hear(const std::vector<std::string_view>& pieces) {
    bool open = true;
    for (const std::string_view piece : pieces) {
      if (!open) break;
      wire_.input().append(piece);
      open = codec_->dispatch(wire_.input(), false);
      // The next answer comes after its request.
      if (open && codec_->can_take_stream()) {
        if (!wire_.input().empty()) test::complain("bytes were left for the next stream", log_, "");
        end_response();
        return log_;
      }
    }
    if (open) codec_->dispatch(wire_.input(), true);
    end_response();
    return log_;
  }

 private:
  void on_codec_draining() override {}
  void on_stream_ended() override {}
  void on_codec_error(std::string_view detail) override { log_ += std::string(detail) + "\n"; }

  void begin_request() {
    response_ = std::make_unique<test::Recorder>(shared_loop().blocks());
    response_->then_on_headers = [](http::HeaderMap& map, bool) { test::require_writable(map); };
    http::StreamSender& sender = codec_->new_stream(*response_);
    const bool upgrade = method_ == kUpgrade;
    test::Message message(
        shared_loop().blocks(),
        {{":method", upgrade ? "GET" : method_}, {":path", "/"}, {":authority", "h"}});
    if (upgrade) {
      message.map().add("connection", "upgrade");
      message.map().add("upgrade", "x");
    }
    const bool tunnel = upgrade || method_ == "CONNECT";
    sender.send_headers(message.map(), !tunnel);
    wire_.take_output();
    if (!tunnel) return;
    Buffer early(shared_loop().blocks());
    early.append("early");
    sender.send_data(early, false);
  }
  void end_response() {
    log_ += response_->all() + "\n";
    const bool forwarded = wire_.take_output().find("early") != std::string::npos;
    const std::string& head = response_->headers;
    const bool agreed = head.starts_with(method_ == kUpgrade ? ":status=101" : ":status=2");
    if (forwarded && !agreed) test::complain("a tunnel opened by itself", log_, "");
  }

  const std::string_view method_;
  ClientOptions options_;
  test::Wire wire_{shared_loop()};
  std::string log_;
  std::unique_ptr<test::Recorder> response_;
  std::unique_ptr<ClientCodec> codec_;
};

}  // namespace
}  // namespace remora::http1

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace remora::http1;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const std::string_view method : {"GET", "HEAD", "CONNECT", kUpgrade}) {
    const std::string whole = Client(method).hear({bytes});
    for (const size_t longest : {1, 7, 100}) {
      test::require_same("segmentation changes what is heard", whole,
                         Client(method).hear(test::cut(bytes, longest)));
    }
  }
  return 0;
}
