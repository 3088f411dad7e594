// HTTP filters in front of the router, seen through a connection manager.
#include "proxy/connection_manager/test_support.h"

namespace remora::connection_manager {
namespace {

using http::FilterStatus;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestClient;
using upstream::testing::TestPeer;

class FiltersTest : public testing::HttpTest {
 protected:
  template <class F, class Config = int>
  void add(Config config = {}) {
    filters.push_back({"test", std::make_shared<http::FilterOf<F, Config>>(config)});
  }
};

/// Refuses everything, as an authorization filter would.
class Refusing : public http::Filter {
 public:
  Refusing(http::FilterStream& stream, int) : stream_(stream) {}
  FilterStatus on_request_headers(http::HeaderMap&, bool) override {
    static const http::Failure failure = {403, http::ResponseFlag::UAEX, "denied", "go away"};
    return stream_.reply(failure);
  }

 private:
  http::FilterStream& stream_;
};

/// Marks responses that pass it.
class Marking : public http::Filter {
 public:
  Marking(http::FilterStream&, int) {}
  FilterStatus on_response_headers(http::HeaderMap& headers, bool) override {
    headers.add("x-marked", "yes");
    return FilterStatus::Continue();
  }
};

/// Holds requests until the test lets them go.
class Holding : public http::Filter {
 public:
  Holding(http::FilterStream& stream, http::FilterStream** held) : stream_(stream), held_(held) {}
  FilterStatus on_request_headers(http::HeaderMap&, bool) override {
    *held_ = &stream_;
    return FilterStatus::Pause();
  }
  void on_destroy() override { *held_ = nullptr; }

 private:
  http::FilterStream& stream_;
  http::FilterStream** held_;
};

/// Wants the whole body before the request goes on.
class Collecting : public http::Filter {
 public:
  Collecting(http::FilterStream&, int) {}
  FilterStatus on_request_headers(http::HeaderMap&, bool end) override {
    return end ? FilterStatus::Continue() : FilterStatus::Pause();
  }
  FilterStatus on_request_body(Buffer&, bool end) override {
    return end ? FilterStatus::Continue() : FilterStatus::Pause();
  }
};

/// Answers with what the route has for it.
class Quoting : public http::Filter {
 public:
  Quoting(http::FilterStream& stream, int) : stream_(stream) {}
  FilterStatus on_request_headers(http::HeaderMap&, bool) override {
    const auto* text = static_cast<const std::string*>(stream_.route_config_of("test"));
    static const http::Failure failure = {418, http::kNoFlag, "quoted", "nothing"};
    return stream_.reply(failure, text != nullptr ? std::string_view(*text) : std::string_view());
  }

 private:
  http::FilterStream& stream_;
};

TEST_F(FiltersTest, AFilterIsGivenWhatItsRouteHasForIt) {
  filters.push_back({"test", std::make_shared<http::FilterOf<Quoting, int>>(0), "a.Text"});
  const auto text = std::make_shared<const std::string>("something");
  route.filter_configs = {{"test", {"a.Text", text}}};
  TestClient& first = connect();
  first.send(kGet);
  expect(first, "something");
  route.filter_configs = {{"test", {"a.Number", text}}};
  TestClient& second = connect();
  second.send(kGet);
  expect(second, "nothing");
  EXPECT_THAT(second.received(), Not(HasSubstr("something"))) << "meant for another kind of filter";
}

TEST_F(FiltersTest, AFilterMayAnswerInsteadOfTheUpstream) {
  add<Refusing>();
  TestClient& client = connect();
  client.send(kGet);
  expect(client, "go away");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 403 Forbidden\r\n"));
  EXPECT_FALSE(server.has_waiting());
}

TEST_F(FiltersTest, AnAnswerPassesTheFiltersInFrontAndNotThoseBehind) {
  add<Marking>();
  add<Refusing>();
  TestClient& first = connect();
  first.send(kGet);
  expect(first, "go away");
  EXPECT_THAT(first.received(), HasSubstr("x-marked: yes\r\n"));
  filters.clear();
  add<Refusing>();
  add<Marking>();
  TestClient& second = connect();
  second.send(kGet);
  expect(second, "go away");
  EXPECT_THAT(second.received(), Not(HasSubstr("x-marked")));
}

TEST_F(FiltersTest, AHeldRequestGoesOnWithItsBody) {
  http::FilterStream* held = nullptr;
  add<Holding>(&held);
  TestClient& client = connect();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody");
  run_until([&] { return held != nullptr; });
  settle();
  EXPECT_FALSE(server.has_waiting());
  held->resume(http::Direction::Request);
  run_until([&] { return server.has_waiting(); });
  TestPeer peer = server.accept();
  settle();
  peer.read_until("body");
  peer.answer("ok");
  expect(client, "ok");
}

TEST_F(FiltersTest, AHeldRequestMayStillBeRefused) {
  http::FilterStream* held = nullptr;
  add<Holding>(&held);
  TestClient& client = connect();
  client.send(kGet);
  run_until([&] { return held != nullptr; });
  held->reply({401, http::kNoFlag, "late", "no"});
  expect(client, "\r\n\r\nno");
  EXPECT_EQ(held, nullptr) << "the filter was told that the stream is over";
}

TEST_F(FiltersTest, AClientThatLeavesWhileItsRequestIsHeldEndsTheStream) {
  http::FilterStream* held = nullptr;
  add<Holding>(&held);
  TestClient& client = connect();
  client.send(kGet);
  run_until([&] { return held != nullptr; });
  client.leave();
  run_until([&] { return held == nullptr; });
}

TEST_F(FiltersTest, ABodyThatIsCollectedArrivesWhole) {
  add<Collecting>();
  TestClient& client = connect();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbo");
  settle();
  EXPECT_FALSE(server.has_waiting());
  TestPeer peer = request(client, "dy");
  peer.read_until("body");
  peer.answer("ok");
  expect(client, "ok");
}

TEST_F(FiltersTest, ABodyTooLargeToCollectIs413) {
  add<Collecting>();
  TestClient& client = connect();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n");
  const std::string piece(64 * 1024, 'x');
  for (int i = 0; i < 40 && !client.got("\r\n\r\n"); ++i) {
    client.send(piece);
    settle();
  }
  expect(client, "Payload Too Large");
  EXPECT_THAT(client.received(), StartsWith("HTTP/1.1 413"));
}

}  // namespace
}  // namespace remora::connection_manager
