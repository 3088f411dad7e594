// The fixture of the server codec's tests. Test only.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/http1/codec_test_support.h"
#include "proxy/http1/server_codec.h"

namespace remora::http1::test {

class ServerCodecTest : public ::testing::Test, public http::ServerCodecHandler {
 protected:
  http::StreamReceiver& on_new_stream(http::StreamSender& response) override {
    sender_ = &response;
    streams_.push_back(std::make_unique<Recorder>(wire_.loop().blocks()));
    if (decline_upgrades_) {
      streams_.back()->then_on_headers = [this](http::HeaderMap&, bool) {
        sender_->decline_upgrade();
      };
    }
    if (answer_at_once_) {
      streams_.back()->then_on_headers = [this](http::HeaderMap&, bool end) {
        if (end) answer("200");
      };
      streams_.back()->then_on_data = [this](bool end) {
        if (end) answer("200");
      };
    }
    return *streams_.back();
  }
  void on_codec_error(uint16_t status, std::string_view detail) override {
    errors_ += std::to_string(status) + " " + std::string(detail);
    const std::string code = std::to_string(status);
    Message message(wire_.loop().blocks(), {{":status", code}});
    sender_->send_headers(message.map(), true);
  }

  http::ServerCodec& codec() {
    if (!codec_) codec_ = std::make_unique<ServerCodec>(wire_.connection(), *this, options_);
    return *codec_;
  }
  bool receive(std::string_view bytes, bool end_stream = false) {
    wire_.input().append(bytes);
    return codec().dispatch(wire_.input(), end_stream);
  }
  /// What the connection does after resume_reading().
  bool redeliver() { return codec().dispatch(wire_.input(), false); }

  void answer(std::string_view status) { respond({{":status", status}}, true); }
  void respond(std::initializer_list<std::pair<std::string_view, std::string_view>> fields,
               bool end) {
    Message message(wire_.loop().blocks(), fields);
    sender_->send_headers(message.map(), end);
  }
  void send(std::string_view bytes, bool end) {
    Buffer data(wire_.loop().blocks());
    data.append(bytes);
    sender_->send_data(data, end);
  }
  Recorder& stream(size_t i = 0) { return *streams_.at(i); }
  std::string output() { return wire_.take_output(); }

  Wire wire_;
  Options options_;
  bool answer_at_once_ = false;
  bool decline_upgrades_ = false;
  http::StreamSender* sender_ = nullptr;
  std::string errors_;
  std::deque<std::unique_ptr<Recorder>> streams_;
  std::unique_ptr<ServerCodec> codec_;
};

}  // namespace remora::http1::test
