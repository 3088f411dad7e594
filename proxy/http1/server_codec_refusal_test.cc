// Requests that two readers could understand differently, or that ask for too much: answered and
// never served.
#include <string>

#include "proxy/http1/server_codec_test_support.h"

namespace remora::http1 {
namespace {

using test::ServerCodecTest;

constexpr char kGet[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";

struct Refusal {
  const char* name;
  std::string bytes;
  const char* error;
};

class ServerCodecRefusal : public ServerCodecTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(ServerCodecRefusal, AnswersAndServesNothingMore) {
  EXPECT_FALSE(receive(GetParam().bytes + kGet));
  EXPECT_EQ(errors_, GetParam().error);
  EXPECT_EQ(streams_.size(), 1u);
  EXPECT_FALSE(stream().ended);
  EXPECT_NE(output().find("connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(codec().wants_close());
  EXPECT_FALSE(receive(kGet));
  EXPECT_EQ(streams_.size(), 1u);
}

std::string post(const std::string& lines, const std::string& body = "") {
  return "POST / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n\r\n" + body;
}
std::string chunks(const std::string& body) { return post("Transfer-Encoding: chunked", body); }

INSTANTIATE_TEST_SUITE_P(
    Smuggling, ServerCodecRefusal,
    ::testing::Values(
        Refusal{"LengthAndChunked",
                post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
                "400 http1.content_length_and_chunked_not_allowed"},
        Refusal{"LengthAndUnknownCoding",
                post("Transfer-Encoding: identity\r\nContent-Length: 3", "abc"),
                "400 http1.content_length_and_chunked_not_allowed"},
        Refusal{"TwoLengths", post("Content-Length: 3\r\nContent-Length: 3", "abc"),
                "400 http1.codec_error"},
        Refusal{"UnknownCoding", post("Transfer-Encoding: xchunked"),
                "400 http1.invalid_transfer_encoding"},
        Refusal{"Identity", post("Transfer-Encoding: identity"),
                "400 http1.invalid_transfer_encoding"},
        Refusal{"ChunkedIdentity", post("Transfer-Encoding: chunked, identity"),
                "400 http1.invalid_transfer_encoding"},
        Refusal{"ChunkedParameter", post("Transfer-Encoding: chunked;q=1"),
                "400 http1.invalid_transfer_encoding"},
        Refusal{"ChunkedTwice", post("Transfer-Encoding: chunked, chunked"),
                "400 http1.invalid_transfer_encoding"},
        Refusal{"TwoCodings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                "400 http1.invalid_transfer_encoding"},
        Refusal{"CodingAndSpace", post("Transfer-Encoding : chunked"), "400 http1.codec_error"},
        Refusal{"EmptyCoding", post("Transfer-Encoding:"), "400 http1.invalid_transfer_encoding"},
        Refusal{"TwoHosts", post("Host: h"), "400 http1.codec_error"},
        Refusal{"BadHost", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 http.invalid_authority"},
        Refusal{"HostWithPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
                "400 http.invalid_authority"},
        Refusal{"BadTargetHost", "GET http://a\"b/ HTTP/1.1\r\nHost: h\r\n\r\n",
                "400 http1.invalid_url"},
        Refusal{"Asterisk", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", "400 http1.invalid_url"},
        Refusal{"AuthorityForm", "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "400 http1.codec_error"},
        Refusal{"NoSlash", "GET a HTTP/1.1\r\nHost: h\r\n\r\n", "400 http1.codec_error"},
        Refusal{"UnknownMethod", "FOO / HTTP/1.1\r\nHost: h\r\n\r\n", "400 http1.codec_error"},
        Refusal{"LowerCaseMethod", "get / HTTP/1.1\r\nHost: h\r\n\r\n", "400 http1.codec_error"},
        Refusal{"Http09", "GET /\r\n", "400 http1.codec_error"},
        Refusal{"Http12", "GET / HTTP/1.2\r\n", "400 http1.codec_error"},
        Refusal{"ConnectWithBody", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
                "400 http1.body_disallowed"},
        Refusal{"ConnectWithCoding",
                "CONNECT h:80 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                "400 http1.invalid_transfer_encoding"},
        Refusal{"ChunkSize", chunks("0x3\r\nabc\r\n0\r\n\r\n"), "400 http1.codec_error"},
        Refusal{"ChunkTooLong", chunks("3\r\nabcd\r\n0\r\n\r\n"), "400 http1.codec_error"},
        Refusal{"BadTrailer", chunks("0\r\nbad trailer: x\r\n\r\n"), "400 http1.codec_error"},
        Refusal{"PseudoHeaderTrailer", chunks("0\r\n:path: /\r\n\r\n"), "400 http1.codec_error"},
        Refusal{"TooManyHeaders", post([] {
                  std::string s;
                  for (int i = 0; i < 100; ++i) s += "x" + std::to_string(i) + ": y\r\n";
                  return s + "z: 1";
                }()),
                "431 http1.too_many_headers"},
        Refusal{"HeadersTooLarge", post("x: " + std::string(62000, 'y')),
                "431 http1.headers_too_large"},
        Refusal{"TargetTooLarge", "GET /" + std::string(70000, 'u') + " HTTP/1.1\r\n\r\n",
                "431 http1.headers_too_large"},
        Refusal{"TrailersTooLarge", chunks("0\r\nx: " + std::string(62000, 'y') + "\r\n\r\n"),
                "431 http1.headers_too_large"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace remora::http1
