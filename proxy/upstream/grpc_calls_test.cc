#include "proxy/upstream/grpc_calls.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"

namespace remora::upstream {
namespace {

class GrpcCallsTest : public testing::Test {
 protected:
  std::string name_of(std::string_view path, Dots dots = Dots::Keep) {
    return std::string(grpc_method_name(path, dots, arena_));
  }
  uint64_t shown(std::string_view name) {
    uint64_t value = 0;
    store_->scrape([&](const stats::Metric& metric) {
      if (metric.name == name) value = metric.value;
    });
    return value;
  }

  BlockPool pool_;
  Arena arena_{pool_};
  std::unique_ptr<stats::Store> store_ = *stats::Store::make({}, 2);
  std::shared_ptr<stats::Group<stats::ClusterSchema>> cluster_ =
      store_->group<stats::ClusterSchema>("cluster.c");
  GrpcCalls calls_{GrpcKind::Grpc, *store_, *cluster_, 0};
};

TEST_F(GrpcCallsTest, APathOfTwoPartsNamesAMethod) {
  EXPECT_EQ(name_of("/a.B/C"), "a.B.C");
  EXPECT_EQ(name_of("//a.B//C/?q=/x"), "a.B.C");
  EXPECT_EQ(name_of("/a.B/C.D", Dots::Replace), "a_B.C.D");
  for (std::string_view path : {"", "/", "/a", "/a/", "/a/b/c", "?a/b"})
    EXPECT_EQ(name_of(path), "");
}

TEST_F(GrpcCallsTest, EndsAreCountedByStatus) {
  auto& counts = calls_.named("a.B.C");
  for (std::string_view status : {"0", "5", "014", "99", "x", ""}) count_status(status, counts);
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.0"), 1u);
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.5"), 1u);
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.14"), 0u) << "Envoy would show it as 014";
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.success"), 1u);
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.failure"), 5u);
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.total"), 6u);
}

TEST_F(GrpcCallsTest, WorkersCountTogether) {
  GrpcCalls other(GrpcKind::Grpc, *store_, *cluster_, 1);
  calls_.named("a.B.C").inc(GrpcCallStat::total);
  other.named("a.B.C").inc(GrpcCallStat::total);
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.total"), 2u);
}

TEST_F(GrpcCallsTest, HostileNamesEndSomewhere) {
  for (int i = 0; i < 10'000; ++i) {
    calls_.named("s.m" + std::to_string(i)).inc(GrpcCallStat::total);
  }
  const size_t limit = stats::Store::kMaxChildrenOfGroup;
  EXPECT_EQ(shown("cluster.c.grpc.total"), 10'000 - limit);
  EXPECT_EQ(shown("cluster.c.grpc.calls_over_method_limit"), 10'000 - limit);
  EXPECT_EQ(shown("cluster.c.grpc.s.m0.total"), 1u);
}

TEST_F(GrpcCallsTest, NamesThatAScrapeCouldStumbleOverGetNoCounts) {
  for (const std::string& name :
       {std::string("a b.c"), std::string("a\xff.c"), std::string(300, 'x')}) {
    EXPECT_EQ(&calls_.named(name), &calls_.unnamed());
  }
}

TEST_F(GrpcCallsTest, CountsLiveAsLongAsTheCluster) {
  calls_.named("a.B.C").inc(GrpcCallStat::total);
  cluster_.reset();
  EXPECT_EQ(shown("cluster.c.grpc.a.B.C.total"), 0u);
}

}  // namespace
}  // namespace remora::upstream
