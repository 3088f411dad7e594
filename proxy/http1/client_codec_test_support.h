// The fixture of the client codec's tests. Test only.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/http1/client_codec.h"
#include "proxy/http1/codec_test_support.h"

namespace remora::http1::test {

class ClientCodecTest : public ::testing::Test, public http::ClientCodecHandler {
 protected:
  void on_codec_draining() override { ++drained_; }
  void on_stream_ended() override {
    ++ended_;
    if (then_on_stream_ended_) then_on_stream_ended_();
  }
  void on_codec_error(std::string_view detail) override { error_ = detail; }

  http::ClientCodec& codec() {
    if (!codec_) codec_ = std::make_unique<ClientCodec>(wire_.connection(), *this, options_);
    return *codec_;
  }
  void open() {
    response_ = std::make_unique<Recorder>(wire_.loop().blocks());
    sender_ = &codec().new_stream(*response_);
  }
  void send_head(std::initializer_list<std::pair<std::string_view, std::string_view>> fields,
                 bool end) {
    Message message(wire_.loop().blocks(), fields);
    sender_->send_headers(message.map(), end);
  }
  void send(std::string_view bytes, bool end) {
    Buffer data(wire_.loop().blocks());
    data.append(bytes);
    sender_->send_data(data, end);
  }
  void get(std::string_view method = "GET") {
    open();
    send_head({{":method", method}, {":path", "/"}, {":authority", "h"}}, true);
    output();
  }
  bool receive(std::string_view bytes, bool end_stream = false) {
    wire_.input().append(bytes);
    return codec().dispatch(wire_.input(), end_stream);
  }
  std::string output() { return wire_.take_output(); }

  Wire wire_;
  ClientOptions options_;
  int drained_ = 0;
  int ended_ = 0;
  std::string error_;
  std::function<void()> then_on_stream_ended_;
  std::unique_ptr<Recorder> response_;
  http::StreamSender* sender_ = nullptr;
  std::unique_ptr<ClientCodec> codec_;
};

}  // namespace remora::http1::test
