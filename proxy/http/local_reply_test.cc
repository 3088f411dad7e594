#include "proxy/http/local_reply.h"

#include <gtest/gtest.h>

namespace remora::http {
namespace {

class LocalReplyTest : public testing::Test {
 protected:
  LocalReplyTest() : request_(arena_) { request_.add(HeaderId::Method, "GET"); }
  std::string answer(uint16_t status, std::string_view body, const HeaderMap* request) {
    const Asker asker = request == nullptr ? Asker() : Asker::of(*request);
    response_ = &begin_local_reply(status, arena_);
    return std::string(complete_local_reply({.status = status, .body = body}, asker, *response_));
  }

  BlockPool pool_;
  Arena arena_{pool_};
  HeaderMap request_;
  HeaderMap* response_ = nullptr;
};

TEST_F(LocalReplyTest, ABodyIsPlainText) {
  EXPECT_EQ(answer(503, "no healthy upstream", &request_), "no healthy upstream");
  EXPECT_EQ(response_->status(), 503);
  EXPECT_EQ(response_->get(HeaderId::ContentLength), "19");
  EXPECT_EQ(response_->get(HeaderId::ContentType), "text/plain");
}

TEST_F(LocalReplyTest, WhatTheHeadersSayOfTheBodyStays) {
  response_ = &begin_local_reply(503, arena_);
  response_->add(HeaderId::ContentType, "text/html");
  response_->add(HeaderId::ContentLength, "1");
  complete_local_reply({.status = 503, .body = "abc", .content_type = "a/b"}, Asker::of(request_),
                       *response_);
  EXPECT_EQ(response_->get(HeaderId::ContentType), "text/html");
  EXPECT_EQ(response_->get(HeaderId::ContentLength), "3");
}

TEST_F(LocalReplyTest, WithoutABodyNothingDescribesIt) {
  EXPECT_EQ(answer(404, "", &request_), "");
  EXPECT_EQ(response_->live_count(), 1u);
}

TEST_F(LocalReplyTest, HeadIsToldTheLengthOnly) {
  request_.set(HeaderId::Method, "HEAD");
  EXPECT_EQ(answer(503, "abc", &request_), "");
  EXPECT_EQ(response_->get(HeaderId::ContentLength), "3");
}

TEST_F(LocalReplyTest, ARequestThatWasNotUnderstoodIsAnsweredToo) {
  EXPECT_EQ(answer(400, "Bad Request", nullptr), "Bad Request");
}

TEST_F(LocalReplyTest, GrpcIsAnsweredWithAStatusAndAnEscapedMessage) {
  request_.add(HeaderId::ContentType, "application/grpc+proto");
  EXPECT_EQ(answer(503, "100% ~bad\n", &request_), "");
  EXPECT_EQ(response_->status(), 200);
  EXPECT_EQ(response_->get(HeaderId::GrpcStatus), "14");
  EXPECT_EQ(response_->get(HeaderId::GrpcMessage), "100%25 %7Ebad%0A");
  EXPECT_EQ(response_->get(HeaderId::ContentType), "application/grpc");
}

TEST_F(LocalReplyTest, GrpcIsToldNoMessageOfWhatAHeadAsksFor) {
  request_.set(HeaderId::Method, "HEAD");
  request_.add(HeaderId::ContentType, "application/grpc");
  EXPECT_EQ(answer(503, "down", &request_), "");
  EXPECT_EQ(response_->get(HeaderId::GrpcStatus), "14");
  EXPECT_FALSE(response_->has(HeaderId::GrpcMessage));
}

TEST_F(LocalReplyTest, AFailureMayHaveAGrpcStatusOfItsOwn) {
  response_ = &begin_local_reply(504, arena_);
  complete_local_reply({.status = 504, .grpc_status = failures::kMaxStreamDuration.grpc_status},
                       {.grpc = true}, *response_);
  EXPECT_EQ(response_->get(HeaderId::GrpcStatus), "4");
}

}  // namespace
}  // namespace remora::http
