#include "proxy/http/stream_timers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace remora::http {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class StreamTimersTest : public testing::Test, public StreamTimers::Owner {
 protected:
  StreamTimersTest() { pass(0); }
  void on_deadline(StreamDeadline which) override { passed_.push_back(which); }
  /// Deadlines of the next `ms` milliseconds.
  std::vector<StreamDeadline> pass(uint64_t ms) {
    for (uint64_t i = 0; i < ms; ++i) {
      ++time_.now_ms;
      wheel_.advance();
    }
    return std::exchange(passed_, {});
  }

  TurnTime time_;
  TimerWheel wheel_{time_};
  StreamTimers timers_{wheel_, *this};
  std::vector<StreamDeadline> passed_;
};

TEST_F(StreamTimersTest, EachLimitPassesOnItsOwn) {
  timers_.start({.request_headers = 10, .request = 20, .idle = 30, .max_duration = 40});
  EXPECT_THAT(pass(9), IsEmpty());
  EXPECT_THAT(pass(50), ElementsAre(StreamDeadline::RequestHeaders, StreamDeadline::Request,
                                    StreamDeadline::Idle, StreamDeadline::MaxDuration));
}

TEST_F(StreamTimersTest, NoLimitNeverPasses) {
  timers_.start({});
  EXPECT_THAT(pass(1000), IsEmpty());
}

TEST_F(StreamTimersTest, HeadersAndRequestsThatCameInTimeAreForgotten) {
  timers_.start({.request_headers = 10, .request = 20});
  timers_.on_headers_complete();
  EXPECT_THAT(pass(15), IsEmpty());
  timers_.on_request_complete();
  EXPECT_THAT(pass(100), IsEmpty());
}

TEST_F(StreamTimersTest, ActivityPutsOffSilenceOnly) {
  timers_.start({.idle = 10, .max_duration = 15});
  pass(8);
  timers_.on_activity();
  EXPECT_THAT(pass(8), ElementsAre(StreamDeadline::MaxDuration));
  EXPECT_THAT(pass(2), ElementsAre(StreamDeadline::Idle));
}

TEST_F(StreamTimersTest, TheRoutesLimitsReplaceTheServers) {
  timers_.start({.idle = 10, .max_duration = 10});
  timers_.set_idle(0);
  timers_.set_max_duration(20);
  EXPECT_THAT(pass(15), IsEmpty());
  EXPECT_THAT(pass(5), ElementsAre(StreamDeadline::MaxDuration));
  timers_.on_activity();
  EXPECT_THAT(pass(100), IsEmpty());
}

TEST_F(StreamTimersTest, AStreamThatEndedHasNoDeadlinesAndMayStartAgain) {
  timers_.start({.request = 10});
  timers_.stop();
  EXPECT_THAT(pass(100), IsEmpty());
  timers_.start({.request = 10});
  EXPECT_THAT(pass(10), ElementsAre(StreamDeadline::Request));
}

}  // namespace
}  // namespace remora::http
