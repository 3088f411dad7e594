// The filter with a stream of the test's own: what it asks of it, when keys come, fail or are too
// late.
#include "filters/http/jwt_authn/jwt_authn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "filters/http/jwt_authn/test_support.h"
#include "proxy/stats/store.h"

namespace remora::jwt {
namespace {

using http::FilterStatus;
using http::HeaderMap;
using testing::signed_token;

class FakeStream final : public http::FilterStream {
 public:
  FakeStream(WorkerContext& worker, Arena& arena, HeaderMap& request)
      : worker_(worker), arena_(arena), request_(request) {}

  Arena& arena() override { return arena_; }
  WorkerContext& worker() override { return worker_; }
  http::StreamInfo& info() override { return info_; }
  HeaderMap& request_headers() override { return request_; }
  HeaderMap* response_headers() override { return nullptr; }
  const router::Route* route() override { return nullptr; }
  const router::RouteDecision& route_decision() override { std::abort(); }
  void clear_route_cache() override { ++routes_cleared; }
  const void* route_config_of(std::string_view) override { return route_config; }
  FilterStatus reply(const http::Failure& failure, std::string_view,
                     std::span<const http::ReplyHeader>) override {
    status = failure.status;
    body = failure.body;
    details = failure.details;
    return replied();
  }
  void resume(http::Direction) override { ++resumed; }
  void reset(http::ResetReason) override {}
  void respond_informational(HeaderMap&) override {}
  void respond_headers(HeaderMap&, bool) override {}
  void respond_data(Buffer&, bool) override {}
  void respond_trailers(HeaderMap&) override {}
  void pause_request_body() override {}
  void resume_request_body() override {}
  uint32_t buffer_limit() const override { return 0; }

  const RouteSettings* route_config = nullptr;
  int status = 0;
  std::string body, details;
  int resumed = 0;
  int routes_cleared = 0;

 private:
  WorkerContext& worker_;
  Arena& arena_;
  HeaderMap& request_;
  http::StreamInfo info_;
};

class JwtAuthnTest : public ::testing::Test {
 protected:
  JwtAuthnTest() {
    settings->stats = store->group<JwtSchema>("http.test.jwt_authn");
    auto provider = testing::provider("a");
    provider->local_keys = nullptr;
    provider->remote_keys = keys;
    provider->claim_headers.push_back({{"sub"}, "x-sub"});
    provider->clear_route_cache = true;
    settings->reserved_headers = {"x-sub"};
    settings->remote = {provider.get()};
    requirement = testing::of_provider(*provider);
    settings->providers.push_back(std::move(provider));
    Rule rule;
    rule.match.path = "/";
    rule.requirement = &requirement;
    settings->rules.push_back(rule);
    request.add(":method", "GET");
    request.add(":path", "/x?\"y\"");
    request.add(":authority", "host");
    request.add(":scheme", "https");
  }
  void send(const std::string& token) { request.add("x-a", arena.copy(token)); }
  FilterStatus::Value start() {
    filter.emplace(stream, settings);
    return filter->on_request_headers(request, true).value();
  }
  void deliver(std::shared_ptr<const tls::KeySet> set) {
    keys->deliver(0, std::move(set), UINT64_MAX);
  }
  uint64_t count(JwtStat stat) { return settings->stats->at(0).value(stat); }
  std::string challenge() {
    HeaderMap response(arena);
    filter->on_response_headers(response, false);
    return std::string(response.joined("www-authenticate").value_or("(none)"));
  }

  EventLoop loop;
  WorkerContext worker{loop, 0, 42};
  std::unique_ptr<stats::Store> store = *stats::Store::make({}, 1);
  Arena arena{loop.blocks()};
  HeaderMap request{arena};
  FakeStream stream{worker, arena, request};
  testing::FakeFetcher fetcher;
  std::shared_ptr<upstream::RemoteKeys> keys =
      std::make_shared<upstream::RemoteKeys>(upstream::RemoteKeysConfig{}, 1, fetcher);
  std::shared_ptr<Settings> settings = std::make_shared<Settings>();
  Requirement requirement;
  std::optional<JwtAuthn> filter;
  const std::string good = signed_token(R"({"iss":"a","sub":"s"})");
};

TEST_F(JwtAuthnTest, WaitsForKeysAndGoesOn) {
  send(good);
  EXPECT_EQ(start(), FilterStatus::kPause);
  EXPECT_EQ(fetcher.asked, 1);
  EXPECT_NE(request.find("x-a"), nullptr) << "nothing was touched yet";
  deliver(testing::keys_of());
  EXPECT_EQ(stream.resumed, 1);
  EXPECT_EQ(request.find("x-a"), nullptr);
  EXPECT_EQ(request.find("x-sub")->value, "s");
  EXPECT_EQ(stream.routes_cleared, 1);
  EXPECT_EQ(count(JwtStat::allowed), 1u);
  EXPECT_EQ(count(JwtStat::jwt_cache_miss), 1u);
  EXPECT_EQ(challenge(), "(none)");
}

TEST_F(JwtAuthnTest, DeniesWhenTheFetchFails) {
  send(good);
  EXPECT_EQ(start(), FilterStatus::kPause);
  deliver(nullptr);
  EXPECT_EQ(stream.resumed, 0);
  EXPECT_EQ(stream.status, 401);
  EXPECT_EQ(stream.body, "Jwks remote fetch is failed");
  EXPECT_EQ(stream.details, "jwt_authn_access_denied{Jwks_remote_fetch_is_failed}");
  EXPECT_EQ(challenge(), R"(Bearer realm="https://host/x?%22y%22", error="invalid_token")");
  EXPECT_EQ(count(JwtStat::denied), 1u);
}

TEST_F(JwtAuthnTest, AStreamThatEndsWaitsNoMore) {
  send(good);
  EXPECT_EQ(start(), FilterStatus::kPause);
  filter->on_destroy();
  filter.reset();
  deliver(testing::keys_of());
  EXPECT_EQ(stream.resumed, 0);
}

TEST_F(JwtAuthnTest, ManyWaitForOneFetch) {
  send(good);
  EXPECT_EQ(start(), FilterStatus::kPause);
  JwtAuthn other(stream, settings);
  EXPECT_EQ(other.on_request_headers(request, true).value(), FilterStatus::kPause);
  EXPECT_EQ(fetcher.asked, 1);
  deliver(nullptr);
  JwtAuthn later(stream, settings);
  EXPECT_EQ(later.on_request_headers(request, true).value(), FilterStatus::kPause);
  EXPECT_EQ(fetcher.asked, 2) << "a failure is not for ever";
}

TEST_F(JwtAuthnTest, WithoutATokenNothingIsFetched) {
  request.add("x-sub", "root");
  EXPECT_EQ(start(), FilterStatus::kReplied);
  EXPECT_EQ(fetcher.asked, 0);
  EXPECT_EQ(stream.body, "Jwt is missing");
  EXPECT_EQ(challenge(), R"(Bearer realm="https://host/x?%22y%22")");
  EXPECT_EQ(request.find("x-sub"), nullptr);
}

TEST_F(JwtAuthnTest, PassesPreflightsWhenToldTo) {
  request.set(":method", "OPTIONS");
  request.add("origin", "https://a");
  request.add("access-control-request-method", "PUT");
  EXPECT_EQ(start(), FilterStatus::kReplied);
  settings->bypass_cors_preflight = true;
  EXPECT_EQ(start(), FilterStatus::kContinue);
  EXPECT_EQ(count(JwtStat::cors_preflight_bypassed), 1u);
}

TEST_F(JwtAuthnTest, FilterStateMayChooseTheRequirement) {
  settings->rules.clear();
  settings->filter_state_name = "selector";
  settings->by_filter_state["strict"] = &requirement;
  EXPECT_EQ(start(), FilterStatus::kContinue);
  stream.info().filter_state.set("selector", "other");
  EXPECT_EQ(start(), FilterStatus::kContinue);
  stream.info().filter_state.set("selector", "strict");
  EXPECT_EQ(start(), FilterStatus::kReplied);
  EXPECT_EQ(stream.status, 401);
}

TEST_F(JwtAuthnTest, ARouteThatNamesARequirementThatIsNotThereIsClosed) {
  const RouteSettings route = {false, "typo"};
  stream.route_config = &route;
  settings->requirement_names = "x,y";
  EXPECT_EQ(start(), FilterStatus::kReplied);
  EXPECT_EQ(stream.status, 403);
  EXPECT_EQ(stream.body,
            "Failed JWT authentication: Wrong requirement_name: typo. It should be one of [x,y]");
}

}  // namespace
}  // namespace remora::jwt
