// Heads as they come off the wire: what they mean, what is refused and with which status, at every
// segmentation.
#include "proxy/http1/parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/http1/codec_test_support.h"

namespace remora::http1 {
namespace {

using Kind = HeadParser::Kind;
using Status = HeadParser::Status;

/// Parses `pieces` one after the other; the outcome as text.
std::string parse_pieces(Kind kind, const std::vector<std::string>& pieces,
                         const HeadLimits& limits = {}) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  Buffer in(pool);
  HeadParser parser(kind, limits);
  if (kind == Kind::Trailers) {
    parser.start_trailers(map);
  } else {
    parser.start(map);
  }
  Status status = Status::NeedMore;
  std::string rest;
  for (const std::string& piece : pieces) {
    if (status == Status::Done) {
      rest += piece;
      continue;
    }
    in.append(piece);
    status = parser.parse(in);
    if (status == Status::Error) {
      return "error " + std::to_string(parser.error().status) + " " +
             std::string(parser.error().detail);
    }
  }
  if (status == Status::NeedMore) return "incomplete";
  return test::describe(map) + "rest=" + in.to_string() + rest +
         " head=" + std::to_string(parser.head_bytes());
}

std::string parse(Kind kind, const std::string& bytes, const HeadLimits& limits = {}) {
  return parse_pieces(kind, {bytes}, limits);
}

std::string request(const std::string& bytes) { return parse(Kind::Request, bytes); }
std::string response(const std::string& bytes) { return parse(Kind::Response, bytes); }

std::string with_line(const std::string& line) {
  return request("GET / HTTP/1.1\r\nHost: h\r\n" + line + "\r\n\r\n");
}

constexpr char kBad[] = "error 400 http1.codec_error";
constexpr char kBadCharacters[] = "error 400 http1.invalid_characters";

TEST(RequestHead, IsTakenApart) {
  EXPECT_EQ(request("POST /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Custom:  v 1\t "
                    "\r\nAccept:*/*\r\n\r\nbody"),
            ":method=POST\n:path=/a?b=c\n:authority=example.com\nx-custom=v 1\naccept=*/*\n"
            "rest=body head=73");
}

TEST(RequestHead, KeepsEmptyValuesRepeatedNamesAndBytesBeyondAscii) {
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB: 1\r\nB: 2\r\nC: \xff\xe9\r\n\r\n"),
            ":method=GET\n:path=/\n:authority=h\na=\nb=1\nb=2\nc=\xff\xe9\nrest= head=50");
}

TEST(RequestHead, IsRefusedWithABareLineFeed) {
  EXPECT_EQ(request("GET / HTTP/1.1\nHost: h\n\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: h\n\r\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: h\r\n\n"), kBad);
  EXPECT_EQ(request("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), kBad);
}

TEST(RequestHead, IsRefusedWithABareCarriageReturn) {
  EXPECT_EQ(with_line("X: a\rb"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1\rHost: h\r\r"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: h\r\n\rX"), kBad);
}

TEST(RequestHead, IsRefusedWithAFoldedLine) {
  EXPECT_EQ(with_line("X: a\r\n b"), kBad);
  EXPECT_EQ(with_line("X: a\r\n\tb"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n"), kBad);
}

TEST(RequestHead, IsRefusedWithABadFieldName) {
  EXPECT_EQ(with_line("X : a"), kBad);
  EXPECT_EQ(with_line("X Y: a"), kBad);
  EXPECT_EQ(with_line("X(: a"), kBad);
  EXPECT_EQ(with_line(": a"), kBad);
  EXPECT_EQ(with_line("no colon"), kBad);
  EXPECT_EQ(with_line("nocolon"), kBad);
  EXPECT_EQ(with_line("X\xe9: a"), kBad);
  EXPECT_EQ(with_line(std::string("X\0Y: a", 6)), kBad);
  EXPECT_EQ(with_line(":path: /other"), kBad);
  EXPECT_EQ(with_line(std::string(256, 'n') + ": a"), kBad);
  EXPECT_NE(with_line(std::string(255, 'n') + ": a"), kBad);
}

TEST(RequestHead, IsRefusedWithAControlByteInAValue) {
  for (int c = 0; c < 0x20; ++c) {
    if (c == '\t' || c == '\r' || c == '\n') continue;
    EXPECT_EQ(with_line(std::string("X: a") + static_cast<char>(c) + "b"), kBadCharacters) << c;
    EXPECT_EQ(with_line(std::string("X: a a value of more than sixteen bytes") +
                        static_cast<char>(c) + "b"),
              kBadCharacters)
        << c;
  }
  EXPECT_EQ(with_line("X: a\x7f"), kBadCharacters);
  EXPECT_EQ(with_line("Transfer-Encoding:\x0b"
                      "chunked"),
            kBadCharacters);
}

TEST(RequestHead, IsRefusedWithABadRequestLine) {
  EXPECT_EQ(request("GET  / HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1 \r\n\r\n"), kBad);
  EXPECT_EQ(request("GET /  HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET\t/ HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET /a b HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request(" GET / HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("G(T / HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET /\xff HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET /\x01 HTTP/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request(std::string("GET /\0 HTTP/1.1\r\n\r\n", 19)), kBad);
  EXPECT_EQ(request("GET / http/1.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.1x\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/1.10\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/01.1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET / HTTP/1\r\n\r\n"), kBad);
  EXPECT_EQ(request("GET\r\n\r\n"), kBad);
  EXPECT_EQ(request("\x16\x03\x01\x02"), kBad) << "a TLS record is refused at its first byte";
  EXPECT_EQ(request(std::string(40, 'A')), kBad) << "no method is that long";
}

TEST(RequestHead, OfAnotherVersionIsRefused) {
  EXPECT_EQ(request("GET / HTTP/1.2\r\n"), "error 400 http1.codec_error");
  EXPECT_EQ(request("GET / HTTP/2.0\r\n"), "error 400 http1.codec_error");
  EXPECT_EQ(request("GET /\r\n"), "error 400 http1.codec_error");
  EXPECT_EQ(request("GET / HTTP/1.0\r\n\r\n"), ":method=GET\n:path=/\nrest= head=18");
}

TEST(RequestHead, IsRefusedWithABadContentLength) {
  for (const char* value :
       {"+5", "-5", "0x5", "5 5", "5,5", "5, 6", "", "5a", "18446744073709551616",
        "9223372036854775808", "00000000000000000005", "\"5\"", "5;"}) {
    EXPECT_EQ(with_line(std::string("Content-Length: ") + value), kBad) << value;
  }
  EXPECT_EQ(with_line("Content-Length: 5\r\nContent-Length: 5"), kBad);
  EXPECT_EQ(with_line("Content-Length: 5\r\nContent-Length: 6"), kBad);
}

TEST(RequestHead, SaysWhatFrameItAndWhatItsConnectionShallBe) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  Buffer in(pool);
  in.append(
      "GET / HTTP/1.0\r\nContent-Length: 9223372036854775807\r\nTransfer-Encoding: CHUNKED\r\n"
      "Host: a\r\nHost: b\r\nConnection: Keep-Alive , Upgrade,x\r\nUpgrade: websocket\r\n\r\n");
  HeadParser parser(Kind::Request, {});
  parser.start(map);
  ASSERT_EQ(parser.parse(in), Status::Done);
  const HeadFacts& facts = parser.facts();
  EXPECT_EQ(facts.version, http::Protocol::Http10);
  EXPECT_EQ(facts.length, 9223372036854775807u);
  EXPECT_EQ(facts.transfer_encodings, 1);
  EXPECT_TRUE(facts.chunked);
  EXPECT_EQ(facts.hosts, 2);
  EXPECT_TRUE(facts.keep_alive);
  EXPECT_FALSE(facts.close);
  EXPECT_TRUE(facts.upgrade_token);
  EXPECT_TRUE(facts.has_upgrade);
  EXPECT_TRUE(facts.connection_names_others);
}

TEST(RequestHead, MayHoldOnlySoManyFieldsAndBytes) {
  const HeadLimits limits{200, 3};
  EXPECT_EQ(parse(Kind::Request, "GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\n\r\n", limits).substr(0, 8),
            ":method=");
  EXPECT_EQ(parse(Kind::Request, "GET / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", limits),
            "error 431 http1.too_many_headers");
  const std::string head = "GET / HTTP/1.1\r\na: ";
  EXPECT_EQ(
      parse(Kind::Request, head + std::string(200 - head.size() - 4, 'v') + "\r\n\r\n", limits)
          .substr(0, 8),
      ":method=");
  EXPECT_EQ(
      parse(Kind::Request, head + std::string(201 - head.size() - 4, 'v') + "\r\n\r\n", limits),
      "error 431 http1.headers_too_large");
  EXPECT_EQ(parse(Kind::Request, "GET /" + std::string(300, 'u'), limits),
            "error 431 http1.headers_too_large");
}

TEST(RequestHead, OfManyBlocksIsReadWhole) {
  std::string head = "GET /" + std::string(20000, 'u') + " HTTP/1.1\r\nHost: h\r\n";
  std::string expected = ":method=GET\n:path=/" + std::string(20000, 'u') + "\n:authority=h\n";
  for (int i = 0; i < 30; ++i) {
    const std::string name = "Name-" + std::to_string(i);
    const std::string value(1000, static_cast<char>('a' + i % 26));
    head += name + ": " + value + "\r\n";
    expected += "name-" + std::to_string(i) + "=" + value + "\n";
  }
  head += "\r\n";
  expected += "rest= head=" + std::to_string(head.size());
  EXPECT_EQ(request(head), expected);
  for (const size_t step : {1000, 4096, 16000, 17000, 33333}) {
    std::vector<std::string> pieces;
    for (size_t at = 0; at < head.size(); at += step) pieces.push_back(head.substr(at, step));
    EXPECT_EQ(parse_pieces(Kind::Request, pieces), expected) << step;
  }
}

TEST(ResponseHead, IsTakenApart) {
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\nServer: x\r\n\r\nbody"),
            ":status=200\nserver=x\nrest=body head=30");
  EXPECT_EQ(response("HTTP/1.1 404\r\n\r\n"), ":status=404\nrest= head=16");
  EXPECT_EQ(response("HTTP/1.0 299 \r\n\r\n"), ":status=299\nrest= head=17");
  EXPECT_EQ(response("HTTP/1.1 200 caf\xe9 \t~\r\nHost: kept\r\n\r\n"),
            ":status=200\nhost=kept\nrest= head=36");
}

TEST(ResponseHead, IsRefusedWithABadStatusLine) {
  for (const char* line :
       {"HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/1.1 99 OK", "HTTP/1.1 1000 OK",
        "HTTP/1.1 099 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 20x OK",
        "HTTP/1.1 200OK", "http/1.1 200 OK", "ICY 200 OK", "HTTP/1.1 200 O\x01K", "garbage"}) {
    EXPECT_EQ(response(std::string(line) + "\r\n\r\n"), kBad) << line;
  }
  EXPECT_EQ(response("HTTP/1.1 200 OK\ncontent-length: 0\n\n"), kBad);
}

TEST(Trailers, LoseWhatMayNotCome) {
  EXPECT_EQ(parse(Kind::Trailers,
                  "X-Sum: 1\r\nHost: evil\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
                  "Authorization: x\r\nGrpc-Status: 0\r\n\r\nnext"),
            "x-sum=1\ngrpc-status=0\nrest=next head=105");
  EXPECT_EQ(parse(Kind::Trailers, ":path: /\r\n\r\n"), kBad);
  EXPECT_EQ(parse(Kind::Trailers, "\r\n"), "rest= head=2");
}

/// The messages whose parse must not depend on how they arrive.
const std::vector<std::pair<Kind, std::string>>& corpus() {
  static const std::vector<std::pair<Kind, std::string>> messages = {
      {Kind::Request, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
      {Kind::Request,
       "POST /p?q HTTP/1.1\r\nHOST: example.com\r\nX-Custom-Name: value with spaces \t\r\n"
       "Content-Length: 12\r\nConnection: close, x\r\nY:\r\n\r\nhello world!"},
      {Kind::Request, "OPTIONS * HTTP/1.0\r\n\r\nGET"},
      {Kind::Request, "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"},
      {Kind::Request, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"},
      {Kind::Request, "GET / HTTP/1.1\r\nHost: h\nX: a\r\n\r\n"},
      {Kind::Request, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x01 b\r\n\r\n"},
      {Kind::Request,
       "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
      {Kind::Request, "GET / HTTP/3.1\r\nHost: h\r\n\r\n"},
      {Kind::Request, "GET / HTTP/1.x\r\nHost: h\r\n\r\n"},
      {Kind::Request, "GET /simple\r\n"},
      {Kind::Request, "GET / HTTP/1.1\r\nHost: h\r\nincomplete: x"},
      {Kind::Response,
       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\n\r\nbody"},
      {Kind::Response, "HTTP/1.1 204\r\n\r\n"},
      {Kind::Response, "HTTP/1.1 200 \r\nX: y\r\n\r\n"},
      {Kind::Response, "HTTP/1.1 20 OK\r\n\r\n"},
      {Kind::Trailers, "X-Checksum: abc\r\nHost: evil\r\nY: z\r\n\r\nGET /"},
      {Kind::Trailers, "X-Checksum abc\r\n\r\n"},
  };
  return messages;
}

TEST(AnyHead, MeansTheSameSplitAnywhere) {
  for (const auto& [kind, bytes] : corpus()) {
    const std::string whole = parse(kind, bytes);
    for (size_t i = 1; i < bytes.size(); ++i) {
      EXPECT_EQ(parse_pieces(kind, {bytes.substr(0, i), bytes.substr(i)}), whole)
          << bytes << "\nsplit at " << i;
      for (size_t j = i + 1; j < bytes.size(); j += 3) {
        ASSERT_EQ(parse_pieces(kind, {bytes.substr(0, i), bytes.substr(i, j - i), bytes.substr(j)}),
                  whole)
            << bytes << "\nsplit at " << i << " and " << j;
      }
    }
  }
}

TEST(AnyHead, MeansTheSameByteByByte) {
  for (const auto& [kind, bytes] : corpus()) {
    std::vector<std::string> pieces;
    for (const char c : bytes) pieces.emplace_back(1, c);
    EXPECT_EQ(parse_pieces(kind, pieces), parse(kind, bytes)) << bytes;
  }
}

TEST(AnyHead, MeansTheSameAcrossBlocks) {
  for (const auto& [kind, bytes] : corpus()) {
    const std::string whole = parse(kind, bytes);
    for (size_t before = 1; before <= bytes.size(); ++before) {
      BlockPool pool;
      Arena arena(pool);
      http::HeaderMap map(arena);
      Buffer in(pool);
      // The message begins `before` bytes ahead of a block's end.
      const std::string filler(Buffer::kMaxReserve - before, '.');
      in.append(filler);
      in.append(bytes);
      in.consume(filler.size());
      HeadParser parser(kind, {});
      if (kind == Kind::Trailers) {
        parser.start_trailers(map);
      } else {
        parser.start(map);
      }
      const Status status = parser.parse(in);
      std::string result = "incomplete";
      if (status == Status::Error) {
        result = "error " + std::to_string(parser.error().status) + " " +
                 std::string(parser.error().detail);
      } else if (status == Status::Done) {
        result = test::describe(map) + "rest=" + in.to_string() +
                 " head=" + std::to_string(parser.head_bytes());
      }
      ASSERT_EQ(result, whole) << bytes << "\nblock ends after " << before;
    }
  }
}

TEST(AnyHead, ThatDripsInPinsNoBlockPerLine) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  Buffer in(pool);
  HeadParser parser(Kind::Request, {});
  parser.start(map);
  in.append("GET / HTTP/1.1\r\n");
  ASSERT_EQ(parser.parse(in), Status::NeedMore);
  for (int i = 0; i < 90; ++i) {
    in.append("X-" + std::to_string(i) + ": value\r\n");
    ASSERT_EQ(parser.parse(in), Status::NeedMore);
    ASSERT_TRUE(in.empty());
  }
  EXPECT_LE(pool.blocks_in_use(), 2u);
}

TEST(AnyHead, InOneBlockIsNotCopied) {
  BlockPool pool;
  Arena arena(pool);
  http::HeaderMap map(arena);
  Buffer in(pool);
  in.append("GET /path HTTP/1.1\r\nHost: h\r\nX-Other: v\r\n\r\n");
  const std::string_view block = in.front();
  HeadParser parser(Kind::Request, {});
  parser.start(map);
  ASSERT_EQ(parser.parse(in), Status::Done);
  const std::string_view value = map.find("x-other")->value;
  EXPECT_TRUE(value.data() >= block.data() && value.data() < block.data() + block.size());
  EXPECT_EQ(value, "v") << "the arena keeps the block alive";
}

}  // namespace
}  // namespace remora::http1
