// Field names: with underscores, as they came, in proper case; and the request line of a forward
// proxy.
#include <gmock/gmock.h>

#include <memory>

#include "proxy/http1/client_codec_test_support.h"
#include "proxy/http1/server_codec_test_support.h"

namespace remora::http1 {
namespace {

using http::NameCase;
using http::Underscores;
using test::ClientCodecTest;
using test::ServerCodecTest;
using testing::HasSubstr;
using testing::Not;

class ServerNamesTest : public ServerCodecTest {
 protected:
  void on_fields_dropped(size_t count) override { dropped_ += count; }
  size_t dropped_ = 0;
};

constexpr std::string_view kUnderscores = "GET / HTTP/1.1\r\nhost: h\r\nx_a: 1\r\nX-B: 2\r\n\r\n";

TEST_F(ServerNamesTest, FieldsWithUnderscoresPassByDefault) {
  receive(kUnderscores);
  EXPECT_THAT(stream().headers, HasSubstr("x_a=1\n"));
}

TEST_F(ServerNamesTest, FieldsWithUnderscoresAreDroppedAndCounted) {
  options_.underscores = Underscores::Drop;
  receive(kUnderscores);
  EXPECT_THAT(stream().headers, Not(HasSubstr("x_a")));
  EXPECT_THAT(stream().headers, HasSubstr("x-b=2\n"));
  EXPECT_EQ(dropped_, 1u);
}

TEST_F(ServerNamesTest, ARequestWithUnderscoresIsRefused) {
  options_.underscores = Underscores::Reject;
  EXPECT_FALSE(receive(kUnderscores));
  EXPECT_EQ(errors_, "400 http1.unexpected_underscore");
  EXPECT_EQ(stream().headers, "");
}

TEST_F(ServerNamesTest, TrailersAreJudgedTheSameWay) {
  options_.underscores = Underscores::Reject;
  options_.enable_trailers = true;
  receive("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx_t: 1\r\n\r\n");
  EXPECT_EQ(errors_, "400 http1.unexpected_underscore");
}

TEST_F(ServerNamesTest, ResponsesAreWrittenInProperCase) {
  options_.names.written = NameCase::Proper;
  receive("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
  respond({{":status", "200"}, {"x-foo$bar", "1"}}, true);
  EXPECT_EQ(output(),
            "HTTP/1.1 200 OK\r\nX-Foo$Bar: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(ServerNamesTest, NamesAreRememberedAndLowerInside) {
  options_.names.remember = true;
  // However the bytes arrive.
  for (const char c :
       std::string_view("GET / HTTP/1.1\r\nHost: h\r\nX-FOO: 1\r\nx-foo: 2\r\n\r\n")) {
    receive({&c, 1});
  }
  EXPECT_THAT(stream().headers, HasSubstr(":authority=h\nx-foo=1\nx-foo=2\n"));
  const http::HeaderSpelling* spelling = stream().map->spelling();
  ASSERT_NE(spelling, nullptr);
  EXPECT_EQ(spelling->find("host"), "Host");
  EXPECT_EQ(spelling->find("x-foo"), "X-FOO");
}

TEST_F(ClientCodecTest, RequestsAreWrittenAsTheyCame) {
  open();
  test::Message message(wire_.loop().blocks(), {{":method", "GET"},
                                                {":path", "/"},
                                                {":authority", "h"},
                                                {"x-foo", "1"},
                                                {"x-added-here", "2"}});
  http::HeaderSpelling spelling(message.map().arena(), {.others = NameCase::Proper});
  spelling.note("HOST");
  spelling.note("x-FOO");
  message.map().set_spelling(&spelling);
  sender_->send_headers(message.map(), true);
  EXPECT_EQ(output(), "GET / HTTP/1.1\r\nHOST: h\r\nx-FOO: 1\r\nX-Added-Here: 2\r\n\r\n");
}

TEST_F(ClientCodecTest, TheReasonIsRememberedWhereWanted) {
  for (const bool wanted : {false, true}) {
    options_.names = {.remember = true, .remember_reason = wanted};
    ClientCodec codec(wire_.connection(), *this, options_);
    test::Recorder response(wire_.loop().blocks());
    sender_ = &codec.new_stream(response);
    send_head({{":method", "GET"}, {":path", "/"}, {":authority", "h"}}, true);
    wire_.input().append("HTTP/1.1 200 Just fine\r\nContent-Length: 0\r\n\r\n");
    codec.dispatch(wire_.input(), false);
    ASSERT_NE(response.map, nullptr);
    EXPECT_EQ(response.map->spelling()->reason(), wanted ? "Just fine" : "");
    EXPECT_EQ(response.map->spelling()->find("content-length"), "Content-Length");
  }
}

TEST_F(ClientCodecTest, AForwardProxyIsToldTheWholeUrl) {
  options_.full_url = true;
  open();
  send_head({{":method", "GET"}, {":path", "/a?b"}, {":scheme", "https"}, {":authority", "h:1"}},
            true);
  EXPECT_EQ(output(), "GET https://h:1/a?b HTTP/1.1\r\nhost: h:1\r\n\r\n");
}

}  // namespace
}  // namespace remora::http1
