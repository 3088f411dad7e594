#include "filters/listener/http_inspector/first_line.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace remora::filters {
namespace {

using Result = FirstLineReader::Result;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

Result read_whole(std::string_view bytes) { return FirstLineReader().read(bytes); }

TEST(FirstLine, FindsTheVersion) {
  EXPECT_EQ(read_whole("GET / HTTP/1.1\r\n"), Result::Http11);
  EXPECT_EQ(read_whole("GET / HTTP/1.0\r\nhost: a\r\n"), Result::Http10);
  EXPECT_EQ(read_whole("GET /\r\n"), Result::Http10) << "a line without one is older";
  EXPECT_EQ(read_whole("GET / HTTP/1.2\r\n"), Result::Http10);
  EXPECT_EQ(read_whole(kPreface), Result::Http2);
}

TEST(FirstLine, TakesForHttpWhatAnotherParserCould) {
  for (std::string_view line :
       {"GET / HTTP/1.1\n", "GET  /  HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n",
        "GET / HTTP/1.1\r\r\n", "GET *x HTTP/1.1\r\n", "M-SEARCH * HTTP/1.1\r\n",
        "GET a+b://x HTTP/1.1\r\n", "GET http:// HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n",
        "PRI * HTTP/1.1\r\n", "GET /\x01 HTTP/1.1\r\n"}) {
    EXPECT_EQ(read_whole(line), Result::Http11) << line;
  }
}

TEST(FirstLine, EverythingElseIsNotHttp) {
  for (std::string_view line : {"GET\r\n",
                                "GET \r\n",
                                "\r\nGET / HTTP/1.1\r\n",
                                "\n",
                                " GET / HTTP/1.1\r\n",
                                "get / http/1.1\r\n",
                                "FOO BAR HTTP/1.1\r\n",
                                "GET /a b HTTP/1.1\r\n",
                                "GET / HTTP/10.1\r\n",
                                "GET / HTTP/1.1x\r\n",
                                "GET / HTTP/1.\r\n",
                                "GET / XTTP/1.1\r\n",
                                "GET /\xff HTTP/1.1\r\n",
                                "GET /\x7f HTTP/1.1\r\n",
                                "GET http:/x HTTP/1.1\r\n",
                                "GET ://x HTTP/1.1\r\n",
                                "GET 1://x HTTP/1.1\r\n",
                                "GET mailto:x HTTP/1.1\r\n",
                                "hello world\n",
                                "220 smtp.example.com ESMTP\r\n",
                                "SSH-2.0-OpenSSH_9\r\n"}) {
    EXPECT_EQ(read_whole(line), Result::NotHttp) << line;
  }
}

TEST(FirstLine, WhatCannotBeAMethodIsKnownAtOnce) {
  EXPECT_EQ(read_whole("F(O"), Result::NotHttp);
  EXPECT_EQ(read_whole("\x16\x03\x01"), Result::NotHttp);
  EXPECT_EQ(read_whole("JRMI\x80"), Result::NotHttp);
  EXPECT_EQ(read_whole("FOO"), Result::NeedMore);
}

TEST(FirstLine, AnySegmentationGivesTheSame) {
  const std::vector<std::pair<std::string_view, Result>> cases = {
      {"GET /path HTTP/1.1\r\n", Result::Http11},
      {"POST / HTTP/1.0\r\n", Result::Http10},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Result::Http2},
      {"PRI * HTTP/2.0\r\n\r\nXX", Result::Http10},
      {"GET nowhere HTTP/1.1\n", Result::NotHttp}};
  for (const auto& [bytes, expected] : cases) {
    FirstLineReader reader;
    for (size_t size = 0; size < bytes.size(); ++size) {
      const Result so_far = reader.read(bytes.substr(0, size));
      if (so_far != Result::NeedMore) {
        EXPECT_EQ(so_far, expected);
        break;
      }
    }
    EXPECT_EQ(read_whole(bytes), expected) << bytes;
  }
}

}  // namespace
}  // namespace remora::filters
