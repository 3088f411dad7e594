#include "filters/http/grpc_web/grpc_web.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "proxy/router/route_table.h"
#include "proxy/upstream/cluster_map.h"
#include "proxy/upstream/worker_context.h"

namespace remora::grpc_web {
namespace {

using http::FilterStatus;
using http::HeaderId;

class FakeStream final : public http::FilterStream {
 public:
  FakeStream() { worker_.set_clusters(clusters_); }

  Arena& arena() override { return arena_; }
  WorkerContext& worker() override { return worker_; }
  http::StreamInfo& info() override { return info_; }
  http::HeaderMap& request_headers() override { return request_; }
  http::HeaderMap* response_headers() override { return &response_; }
  const router::Route* route() override { return nullptr; }
  const router::RouteDecision& route_decision() override { return decision_; }
  void clear_route_cache() override {}
  const void* route_config_of(std::string_view) override { return nullptr; }
  FilterStatus reply(const http::Failure& failure, std::string_view,
                     std::span<const http::ReplyHeader>) override {
    answered = failure;
    return replied();
  }
  void resume(http::Direction) override {}
  void reset(http::ResetReason) override {}
  void respond_informational(http::HeaderMap&) override {}
  void respond_headers(http::HeaderMap&, bool) override {}
  void respond_data(Buffer&, bool) override {}
  void respond_trailers(http::HeaderMap&) override {}
  void pause_request_body() override {}
  void resume_request_body() override {}
  uint32_t buffer_limit() const override { return 0; }

  std::optional<http::Failure> answered;

 private:
  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 1};
  upstream::ClusterMap clusters_{worker_};
  Arena arena_{loop_.blocks()};
  http::HeaderMap request_{arena_};
  http::HeaderMap response_{arena_};
  http::StreamInfo info_;
  router::RouteDecision decision_;
};

class GrpcWebTest : public testing::Test {
 protected:
  void ask(std::string_view type, std::string_view accept = "*/*") {
    http::HeaderMap& headers = stream_.request_headers();
    headers.set(HeaderId::Path, "/a.B/C");
    headers.set(HeaderId::ContentType, type);
    headers.set(HeaderId::ContentLength, "10");
    headers.set(HeaderId::Accept, accept);
    filter_.on_request_headers(headers, false);
  }
  std::string send(std::string_view bytes, bool end) {
    Buffer data = buffer(bytes);
    last_ = filter_.on_request_body(data, end).value();
    return data.to_string();
  }
  FilterStatus::Value answer(std::string_view type, bool end = false) {
    response().set_status(200);
    response().set(HeaderId::ContentType, type);
    return filter_.on_response_headers(response(), end).value();
  }
  std::string receive(std::string_view bytes, bool end) {
    Buffer data = buffer(bytes);
    last_ = filter_.on_response_body(data, end).value();
    return data.to_string();
  }
  std::string end_with(std::string_view grpc_status) {
    http::HeaderMap trailers(stream_.arena());
    trailers.add(HeaderId::GrpcStatus, grpc_status);
    const FilterStatus status = filter_.on_response_trailers(trailers);
    return status.data() == nullptr ? "(trailers)" : status.data()->to_string();
  }
  Buffer buffer(std::string_view bytes) {
    Buffer data(stream_.worker().blocks());
    data.append(bytes);
    return data;
  }
  http::HeaderMap& response() { return *stream_.response_headers(); }

  FakeStream stream_;
  GrpcWeb filter_{stream_, {}};
  FilterStatus::Value last_ = FilterStatus::kContinue;
};

TEST_F(GrpcWebTest, ABinaryRequestBecomesGrpc) {
  ask("application/grpc-web");
  const http::HeaderMap& headers = stream_.request_headers();
  EXPECT_EQ(headers.get(HeaderId::ContentType), "application/grpc");
  EXPECT_EQ(headers.get(HeaderId::Te), "trailers");
  EXPECT_EQ(headers.find("grpc-accept-encoding")->value, "identity");
  EXPECT_FALSE(headers.has(HeaderId::ContentLength));
  EXPECT_EQ(send("abc", true), "abc");
}

TEST_F(GrpcWebTest, OtherRequestsAreLeftAlone) {
  ask("application/grpc");
  EXPECT_TRUE(stream_.request_headers().has(HeaderId::ContentLength));
  EXPECT_EQ(answer("text/html"), FilterStatus::kContinue);
  EXPECT_EQ(end_with("0"), "(trailers)");
}

TEST_F(GrpcWebTest, ATextRequestIsDecodedAsItComes) {
  ask("application/grpc-web-text");
  EXPECT_EQ(send("AAA", false), "");
  EXPECT_EQ(send("AAAVoZ", false), std::string("\0\0\0\0\5h", 6));
  EXPECT_EQ(send("Wxsbw==", true), "ello");
}

TEST_F(GrpcWebTest, WhatIsNotBase64IsRefused) {
  ask("application/grpc-web-text");
  send("A!", false);
  EXPECT_EQ(last_, FilterStatus::kReplied);
  EXPECT_EQ(stream_.answered->details, "grpc_base_64_decode_failed");
}

TEST_F(GrpcWebTest, ATextThatEndsTooEarlyIsRefused) {
  ask("application/grpc-web-text");
  send("AAAAA", true);
  EXPECT_EQ(stream_.answered->details, "grpc_base_64_decode_failed_bad_size");
}

TEST_F(GrpcWebTest, TrailersBecomeTheLastFrame) {
  ask("application/grpc-web");
  EXPECT_EQ(answer("application/grpc"), FilterStatus::kContinue);
  EXPECT_EQ(response().get(HeaderId::ContentType), "application/grpc-web+proto");
  EXPECT_EQ(receive("abc", false), "abc");
  EXPECT_EQ(end_with("7"), std::string("\x80\0\0\0\x0fgrpc-status:7\r\n", 20));
}

TEST_F(GrpcWebTest, ATextAnswerIsATextForEachMessage) {
  ask("application/grpc-web", "application/grpc-web-text");
  answer("application/grpc");
  EXPECT_EQ(response().get(HeaderId::ContentType), "application/grpc-web-text+proto");
  EXPECT_EQ(receive(std::string("\0\0\0\0\3a", 6), false), "AAAAAANh");
  EXPECT_EQ(receive(std::string("bc\0\0\0\0\0", 7), false), "YmM=AAAAAAA=");
  EXPECT_EQ(end_with("0"), "gAAAAA9ncnBjLXN0YXR1czowDQo=");
}

TEST_F(GrpcWebTest, AnAnswerThatIsNotGrpcBecomesAMessage) {
  ask("application/grpc-web");
  EXPECT_EQ(answer("text/html"), FilterStatus::kPause);
  EXPECT_EQ(receive("no ", false), "");
  EXPECT_EQ(last_, FilterStatus::kPause);
  EXPECT_EQ(receive("way%" + std::string(20'000, 'x'), true), "");
  EXPECT_EQ(last_, FilterStatus::kContinue);
  EXPECT_TRUE(response().get(HeaderId::GrpcMessage).starts_with("no way%25xxx"));
  EXPECT_EQ(response().get(HeaderId::GrpcMessage).size(), 16384u + 2);
  EXPECT_EQ(response().get(HeaderId::GrpcStatus), "2");
  EXPECT_EQ(response().get(HeaderId::ContentLength), "0");
}

}  // namespace
}  // namespace remora::grpc_web
