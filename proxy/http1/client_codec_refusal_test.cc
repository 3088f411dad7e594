// Responses that break the protocol: the stream is reset and the connection never used again.
#include <string>

#include "proxy/http1/client_codec_test_support.h"

namespace remora::http1 {
namespace {

using test::ClientCodecTest;

constexpr char kProtocolError[] =
    "protocol error upstream_reset_before_response_started{protocol_error}";

struct BadAnswer {
  const char* name;
  std::string bytes;
};

class ClientCodecBadAnswer : public ClientCodecTest,
                             public ::testing::WithParamInterface<BadAnswer> {};

TEST_P(ClientCodecBadAnswer, IsAProtocolErrorAndEndsTheConnection) {
  get();
  EXPECT_FALSE(receive(GetParam().bytes));
  EXPECT_EQ(response_->reset, kProtocolError);
  EXPECT_EQ(response_->headers, "");
  EXPECT_NE(error_, "");
  EXPECT_EQ(drained_, 1);
  EXPECT_EQ(ended_, 1);
  EXPECT_FALSE(codec().can_take_stream());
}

std::string ok_with(const std::string& lines) { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n\r\n"; }

INSTANTIATE_TEST_SUITE_P(
    Responses, ClientCodecBadAnswer,
    ::testing::Values(
        BadAnswer{"LengthAndChunked", ok_with("Content-Length: 2\r\nTransfer-Encoding: chunked")},
        BadAnswer{"TwoLengths", ok_with("Content-Length: 2\r\nContent-Length: 2")},
        BadAnswer{"BadLength", ok_with("Content-Length: +2")},
        BadAnswer{"Identity", ok_with("Transfer-Encoding: identity")},
        BadAnswer{"GzipChunked", ok_with("Transfer-Encoding: gzip, chunked")},
        BadAnswer{"LengthIn204", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"},
        BadAnswer{"CodingIn204",
                  "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        BadAnswer{"CodingIn100", "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n"},
        BadAnswer{"LengthIn103", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"},
        BadAnswer{
            "UnaskedSwitch",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc"},
        BadAnswer{"Garbage", "garbage\r\n\r\n"},
        BadAnswer{"LineFeeds", "HTTP/1.1 200 OK\ncontent-length: 2\n\nok"},
        BadAnswer{"Folded", ok_with("x: a\r\n b")},
        BadAnswer{"Nul", ok_with(std::string("x: a\0b", 6))},
        BadAnswer{"SpaceBeforeColon", ok_with("x : a")},
        BadAnswer{"HugeHead", ok_with("x: " + std::string(90000, 'x'))}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace remora::http1
