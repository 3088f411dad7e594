#include "proxy/http2/receive_windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

namespace remora::http2 {
namespace {

constexpr uint32_t kFirst = ReceiveWindows::kFirst;

/// A sender that always has more to say, over a link that carries `per_ms` bytes and takes `rtt_ms`
/// for a round trip. One round trip; answers the bytes that came.
uint64_t round_trip(ReceiveWindows& windows, MonotonicMs& now, uint64_t per_ms, uint64_t rtt_ms) {
  const uint64_t bytes = std::min<uint64_t>(windows.stream(), per_ms * rtt_ms);
  bool asked = false;
  for (uint64_t sent = 0; sent < bytes; sent += 16384) {
    asked |= windows.on_data(std::min<uint64_t>(16384, bytes - sent), now);
  }
  now += rtt_ms;
  if (asked) {
    for (uint64_t sent = 0; sent < bytes; sent += 16384) {
      windows.on_data(std::min<uint64_t>(16384, bytes - sent), now);
    }
    windows.on_round_trip(now);
  }
  return bytes;
}

TEST(ReceiveWindows, FollowTheLink) {
  BlockPool pool;
  ReceiveWindows windows(std::nullopt, std::nullopt, pool);
  EXPECT_EQ(windows.stream(), kFirst);
  EXPECT_EQ(windows.connection(), 98'302u);
  MonotonicMs now = 1000;
  const uint64_t per_ms = 40'000, rtt = 50;  // 320 Mbit/s: 2,000,000 bytes are under way
  for (int i = 0; i < 40; ++i) round_trip(windows, now, per_ms, rtt);
  EXPECT_EQ(round_trip(windows, now, per_ms, rtt), per_ms * rtt);
  EXPECT_LE(windows.stream(), 2 * 2 * per_ms * rtt) << "no more than a round trip's worth, doubled";
  EXPECT_EQ(pool.promised(), windows.connection() - 98'302u);
}

TEST(ReceiveWindows, StaySmallWhereLittleIsUnderWay) {
  BlockPool pool;
  ReceiveWindows windows(std::nullopt, std::nullopt, pool);
  MonotonicMs now = 1000;
  int asked = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (windows.on_data(1000, now)) {
      ++asked;
      EXPECT_FALSE(windows.on_round_trip(now));
    }
    ++now;
  }
  EXPECT_EQ(windows.stream(), kFirst);
  EXPECT_LE(asked, 15) << "a link that was measured in vain is measured less and less often";
  EXPECT_EQ(pool.promised(), 0u);
}

TEST(ReceiveWindows, ARateThatDoesNotRiseEndsTheGrowth) {
  BlockPool pool;
  ReceiveWindows windows(std::nullopt, std::nullopt, pool);
  ASSERT_TRUE(windows.on_data(kFirst / 2 + 1, 0));
  windows.on_data(kFirst / 2, 5);
  ASSERT_TRUE(windows.on_round_trip(10));
  const uint32_t grown = windows.stream();
  EXPECT_EQ(grown, 2 * kFirst);
  ASSERT_TRUE(windows.on_data(grown / 2, 10));
  windows.on_data(grown / 2, 15);
  EXPECT_FALSE(windows.on_round_trip(30)) << "twice the bytes in twice the time";
  EXPECT_EQ(windows.stream(), grown);
}

TEST(ReceiveWindows, KeepWhatTheConfigurationNames) {
  BlockPool pool;
  ReceiveWindows windows(100'000, 200'000, pool);
  EXPECT_FALSE(windows.on_data(10'000'000, 0));
  EXPECT_EQ(windows.stream(), 100'000u);
  EXPECT_EQ(windows.connection(), 200'000u);
  EXPECT_EQ(windows.hold(1000), 0u);

  ReceiveWindows half(std::nullopt, 200'000, pool);
  MonotonicMs now = 0;
  for (int i = 0; i < 40; ++i) round_trip(half, now, 1'000'000, 50);
  EXPECT_EQ(half.connection(), 200'000u);
  EXPECT_LE(half.stream(), 200'000u * 2 / 3 + 1);
}

TEST(ReceiveWindows, AllOfAWorkerShareItsMemory) {
  BlockPool pool;
  {
    std::deque<ReceiveWindows> all;
    uint64_t sum = 0;
    for (int i = 0; i < 1000; ++i) {
      ReceiveWindows& one = all.emplace_back(std::nullopt, std::nullopt, pool);
      MonotonicMs now = 0;
      for (int j = 0; j < 20; ++j) round_trip(one, now, 10'000'000, 10);
      sum += one.connection() - 98'302;
    }
    EXPECT_EQ(all.front().stream(), ReceiveWindows::kMaxStream);
    EXPECT_GT(all[1].connection(), 2u << 20) << "one does not take all";
    EXPECT_EQ(pool.promised(), sum);
    EXPECT_LE(sum, BlockPool::kMaxPromised);
  }
  EXPECT_EQ(pool.promised(), 0u);
}

TEST(ReceiveWindows, WhatWaitsIsLentByTheWorkerUpToABound) {
  BlockPool pool;
  {
    ReceiveWindows windows(std::nullopt, std::nullopt, pool);
    EXPECT_EQ(windows.hold(60'000), 60'000u);
    EXPECT_EQ(pool.promised(), 60'000u);
    windows.release(50'000);
    EXPECT_EQ(pool.promised(), 10'000u);
    EXPECT_EQ(windows.hold(100u << 20), ReceiveWindows::kMaxConnection - 98'302 - 10'000);
    EXPECT_EQ(windows.hold(1), 0u);
  }
  EXPECT_EQ(pool.promised(), 0u);
}

}  // namespace
}  // namespace remora::http2
