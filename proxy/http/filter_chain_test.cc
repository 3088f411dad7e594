#include "proxy/http/filter_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace remora::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint32_t kLimit = 64;

/// What the filters and the exit saw, in order: "a:request headers".
using Trace = std::vector<std::string>;

/// Answers what the test wants for each event; by default Continue.
struct Script {
  FilterStatus headers = FilterStatus::Continue();
  FilterStatus body = FilterStatus::Continue();
  FilterStatus trailers = FilterStatus::Continue();
  std::function<void()> during_headers;
};

class ScriptedFilter final : public Filter {
 public:
  ScriptedFilter(std::string name, Trace& trace, Script& request, Script& response)
      : name_(std::move(name)), trace_(trace), request_(request), response_(response) {}

  FilterStatus on_request_headers(HeaderMap&, bool end) override {
    return see("request headers", end, request_, request_.headers);
  }
  FilterStatus on_request_body(Buffer& data, bool end) override {
    return see("request body " + data.to_string(), end, request_, request_.body);
  }
  FilterStatus on_request_trailers(HeaderMap&) override {
    return see("request trailers", false, request_, request_.trailers);
  }
  FilterStatus on_response_headers(HeaderMap&, bool end) override {
    return see("response headers", end, response_, response_.headers);
  }
  FilterStatus on_response_body(Buffer& data, bool end) override {
    return see("response body " + data.to_string(), end, response_, response_.body);
  }
  FilterStatus on_response_trailers(HeaderMap&) override {
    return see("response trailers", false, response_, response_.trailers);
  }
  void on_destroy() override { trace_.push_back(name_ + ":destroy"); }

 private:
  FilterStatus see(std::string what, bool end, Script& script, FilterStatus answer) {
    trace_.push_back(name_ + ":" + what + (end ? " end" : ""));
    if (what.ends_with("headers") && script.during_headers) script.during_headers();
    return answer;
  }
  std::string name_;
  Trace& trace_;
  Script& request_;
  Script& response_;
};

class FilterChainTest : public testing::Test, public FilterChain::Exit {
 protected:
  FilterChainTest() : headers_(arena_), trailers_(arena_) {}
  ~FilterChainTest() override { chain_.clear(); }

  /// A chain of filters "a", "b", "c"... all of which handle `events`.
  void make(size_t count, FilterEvents events = FilterEvents::of<ScriptedFilter>()) {
    make(std::vector<FilterEvents>(count, events));
  }
  void make(const std::vector<FilterEvents>& events) {
    chain_.begin(arena_, events.size(), kLimit);
    request_.resize(events.size());
    response_.resize(events.size());
    for (size_t i = 0; i < events.size(); ++i) {
      chain_.add(arena_.make<ScriptedFilter>(std::string(1, static_cast<char>('a' + i)), trace_,
                                             request_[i], response_[i]),
                 events[i]);
    }
  }
  void headers(Direction d, bool end = false) { chain_.headers(d, headers_, end); }
  void data(Direction d, std::string_view bytes, bool end = false) {
    Buffer buffer(pool_);
    buffer.append(bytes);
    chain_.data(d, buffer, end);
  }
  Trace seen() { return std::exchange(trace_, {}); }

  void exit_headers(Direction, HeaderMap&, bool end) override {
    trace_.push_back(std::string("out:headers") + (end ? " end" : ""));
  }
  void exit_data(Direction, Buffer& data, bool end) override {
    trace_.push_back("out:body " + data.to_string() + (end ? " end" : ""));
    data.clear();
  }
  void exit_trailers(Direction, HeaderMap&) override { trace_.push_back("out:trailers"); }
  void on_held_too_much(Direction d) override {
    trace_.push_back("too much");
    chain_.stop(d);
  }
  void on_held_high_water(Direction) override { trace_.push_back("high water"); }
  void on_held_low_water(Direction) override { trace_.push_back("low water"); }

  BlockPool pool_;
  Arena arena_{pool_};
  HeaderMap headers_;
  HeaderMap trailers_;
  Trace trace_;
  std::vector<Script> request_, response_;
  FilterChain chain_{*this};
};

constexpr FilterEvents kOnlyRequestHeaders = {true, false, false, false, false, false};
constexpr FilterEvents kNothing = {};

TEST_F(FilterChainTest, RequestsGoForwardsAndResponsesBackwards) {
  make(2);
  headers(Direction::Request, true);
  EXPECT_THAT(seen(),
              ElementsAre("a:request headers end", "b:request headers end", "out:headers end"));
  headers(Direction::Response);
  data(Direction::Response, "x", true);
  EXPECT_THAT(seen(),
              ElementsAre("b:response headers", "a:response headers", "out:headers",
                          "b:response body x end", "a:response body x end", "out:body x end"));
}

TEST_F(FilterChainTest, EventsThatAFilterDoesNotHandleAreNotShownToIt) {
  make({kOnlyRequestHeaders, kNothing});
  headers(Direction::Request);
  data(Direction::Request, "x", true);
  EXPECT_THAT(seen(), ElementsAre("a:request headers", "out:headers", "out:body x end"));
}

TEST_F(FilterChainTest, APausedFilterHoldsEverythingBehindItUntilItResumes) {
  make({kOnlyRequestHeaders, FilterEvents::of<ScriptedFilter>()});
  request_[0].headers = FilterStatus::Pause();
  headers(Direction::Request);
  data(Direction::Request, "x");
  data(Direction::Request, "y", true);
  EXPECT_THAT(seen(), ElementsAre("a:request headers"));
  EXPECT_TRUE(chain_.holding(Direction::Request));
  chain_.resume(Direction::Request, 0);
  EXPECT_THAT(seen(), ElementsAre("b:request headers", "out:headers", "b:request body xy end",
                                  "out:body xy end"));
}

TEST_F(FilterChainTest, HeldHeadersThatEndTheStreamStillEndIt) {
  make({kOnlyRequestHeaders});
  request_[0].headers = FilterStatus::Pause();
  headers(Direction::Request, true);
  chain_.resume(Direction::Request, 0);
  EXPECT_THAT(seen(), ElementsAre("a:request headers end", "out:headers end"));
}

TEST_F(FilterChainTest, TrailersAreHeldInOrder) {
  make({kOnlyRequestHeaders});
  request_[0].headers = FilterStatus::Pause();
  headers(Direction::Request);
  data(Direction::Request, "x");
  chain_.trailers(Direction::Request, trailers_);
  chain_.resume(Direction::Request, 0);
  EXPECT_THAT(seen(),
              ElementsAre("a:request headers", "out:headers", "out:body x", "out:trailers"));
}

TEST_F(FilterChainTest, AFilterMayCollectTheBodyAndLetGoWithItsEnd) {
  make(1);
  request_[0].headers = request_[0].body = FilterStatus::Pause();
  headers(Direction::Request);
  data(Direction::Request, "x");
  EXPECT_THAT(seen(), ElementsAre("a:request headers", "a:request body x"));
  request_[0].body = FilterStatus::Continue();
  data(Direction::Request, "y", true);
  EXPECT_THAT(seen(),
              ElementsAre("a:request body y end", "out:headers", "out:body x", "out:body y end"));
}

TEST_F(FilterChainTest, TwoFiltersMayPauseAndEachResumesOnlyItself) {
  make(2);
  request_[0].body = FilterStatus::Pause();
  request_[1].headers = FilterStatus::Pause();
  headers(Direction::Request);
  data(Direction::Request, "x", true);
  EXPECT_THAT(seen(),
              ElementsAre("a:request headers", "b:request headers", "a:request body x end"));
  chain_.resume(Direction::Request, 1);
  EXPECT_THAT(seen(), ElementsAre("out:headers")) << "the body still waits in a";
  chain_.resume(Direction::Request, 0);
  EXPECT_THAT(seen(), ElementsAre("b:request body x end", "out:body x end"));
}

TEST_F(FilterChainTest, ResumingInsideTheCallThatPausesMeansContinue) {
  make(1);
  request_[0].headers = FilterStatus::Pause();
  request_[0].during_headers = [this] { chain_.resume(Direction::Request, 0); };
  headers(Direction::Request, true);
  EXPECT_THAT(seen(), ElementsAre("a:request headers end", "out:headers end"));
}

TEST_F(FilterChainTest, AFilterThatLooksAtTheBodyMayNotHoldMoreThanTheLimit) {
  make(1);
  request_[0].headers = request_[0].body = FilterStatus::Pause();
  headers(Direction::Request);
  data(Direction::Request, std::string(kLimit, 'x'));
  seen();
  data(Direction::Request, "y");
  EXPECT_THAT(seen(), ElementsAre("a:request body y", "too much"));
}

TEST_F(FilterChainTest, AFilterThatOnlyWaitsStopsTheSourceAtTheLimit) {
  make({kOnlyRequestHeaders});
  request_[0].headers = FilterStatus::Pause();
  headers(Direction::Request);
  seen();
  const std::string much(kLimit + 1, 'x');
  data(Direction::Request, much);
  data(Direction::Request, "y");
  EXPECT_THAT(seen(), ElementsAre("high water"));
  chain_.resume(Direction::Request, 0);
  EXPECT_THAT(seen(), ElementsAre("out:headers", "out:body " + much + "y", "low water"));
}

TEST_F(FilterChainTest, AStoppedDirectionRunsNothingMore) {
  make(2);
  request_[0].during_headers = [this] { chain_.stop(Direction::Request); };
  headers(Direction::Request);
  data(Direction::Request, "x", true);
  chain_.resume(Direction::Request, 0);
  EXPECT_THAT(seen(), ElementsAre("a:request headers"));
}

TEST_F(FilterChainTest, ALocalAnswerPassesOnlyTheFiltersThatSawTheRequest) {
  make(3);
  request_[1].headers = FilterStatus::Pause();
  headers(Direction::Request, true);
  seen();
  chain_.stop(Direction::Request);
  chain_.restart_response();
  headers(Direction::Response, true);
  EXPECT_THAT(seen(),
              ElementsAre("b:response headers end", "a:response headers end", "out:headers end"));
}

TEST_F(FilterChainTest, ALocalAnswerReplacesAResponseThatIsHeld) {
  make(1);
  headers(Direction::Request, true);
  response_[0].headers = FilterStatus::Pause();
  headers(Direction::Response);
  data(Direction::Response, "old", true);
  seen();
  response_[0].headers = FilterStatus::Continue();
  chain_.restart_response();
  headers(Direction::Response);
  data(Direction::Response, "new", true);
  EXPECT_THAT(seen(), ElementsAre("a:response headers", "out:headers", "a:response body new end",
                                  "out:body new end"));
}

TEST_F(FilterChainTest, BytesMayTakeThePlaceOfTrailers) {
  make(3);
  headers(Direction::Response);
  seen();
  Buffer last(pool_);
  last.append("last");
  response_[1].trailers = FilterStatus::EndWith(last);
  chain_.trailers(Direction::Response, trailers_);
  EXPECT_THAT(seen(), ElementsAre("c:response trailers", "b:response trailers",
                                  "a:response body last end", "out:body last end"));
}

TEST_F(FilterChainTest, WhatWasHeldGoesBeforeWhatTakesThePlaceOfTrailers) {
  make(1);
  response_[0].headers = FilterStatus::Pause();
  headers(Direction::Response);
  seen();
  Buffer nothing(pool_);
  response_[0].trailers = FilterStatus::EndWith(nothing);
  chain_.trailers(Direction::Response, trailers_);
  EXPECT_THAT(seen(), ElementsAre("a:response trailers", "out:headers", "out:body  end"));
}

TEST_F(FilterChainTest, EveryFilterHearsOfTheEnd) {
  make(2);
  chain_.notify_destroy();
  EXPECT_THAT(seen(), ElementsAre("a:destroy", "b:destroy"));
  chain_.clear();
  EXPECT_THAT(seen(), IsEmpty());
}

}  // namespace
}  // namespace remora::http
