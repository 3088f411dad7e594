#include "filters/listener/original_dst/original_dst.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "proxy/net/socket.h"

namespace remora::filters {
namespace {

Address at(std::string_view ip, uint16_t port) { return *Address::from_ip(ip, port); }

ConnectionFacts accepted_at(const Address& local) {
  ConnectionFacts facts;
  facts.local = facts.direct_local = local;
  return facts;
}

TEST(OriginalDst, RestoresWhereARedirectedConnectionWasGoing) {
  ConnectionFacts facts = accepted_at(at("10.0.0.5", 15001));
  restore_destination({at("10.96.0.1", 443), false}, facts);
  EXPECT_EQ(facts.local, at("10.96.0.1", 443));
  EXPECT_EQ(facts.direct_local, at("10.0.0.5", 15001));
  EXPECT_TRUE(facts.local_restored);
}

TEST(OriginalDst, UnderTproxyTheLocalAddressIsTheDestination) {
  ConnectionFacts facts = accepted_at(at("10.0.0.5", 8080));
  restore_destination({Address(), true}, facts);
  EXPECT_EQ(facts.local, at("10.0.0.5", 8080));
  EXPECT_TRUE(facts.local_restored);
}

TEST(OriginalDst, AConnectionMadeStraightToTheListenerIsNotRestored) {
  ConnectionFacts facts = accepted_at(at("10.0.0.5", 15001));
  restore_destination({Address(), false}, facts);
  EXPECT_EQ(facts.local, at("10.0.0.5", 15001));
  EXPECT_FALSE(facts.local_restored);
}

class Context : public ListenerFilterContext {
 public:
  Context(int fd, Address local) : fd_(fd), facts_(accepted_at(local)) {}
  int fd() override { return fd_; }
  ConnectionFacts& facts() override { return facts_; }
  EventLoop& loop() override { return loop_; }
  uint32_t worker_index() const override { return 0; }
  bool consume(size_t) override { return false; }

 private:
  int fd_;
  ConnectionFacts facts_;
  EventLoop loop_;
};

TEST(OriginalDst, AsksTheKernelAndWaitsForNothing) {
  auto listening = listen_on(at("127.0.0.1", 0), {});
  ASSERT_TRUE(listening.ok());
  int error = 0;
  Socket client = connect_to(local_address_of(listening->fd()), {}, &error);
  pollfd waiting = {listening->fd(), POLLIN, 0};
  poll(&waiting, 1, 5000);
  Socket accepted = accept_one(listening->fd(), nullptr);
  Context context(accepted.fd(), local_address_of(accepted.fd()));
  OriginalDst filter;
  EXPECT_EQ(filter.on_accept(context), ListenerFilter::Status::Done);
  EXPECT_FALSE(context.facts().local_restored);
}

TEST(OriginalDst, UnixSocketsHaveNoOriginalDestination) {
  Context context(-1, *Address::from_unix_path("@here"));
  OriginalDst filter;
  EXPECT_EQ(filter.on_accept(context), ListenerFilter::Status::Done);
  EXPECT_FALSE(context.facts().local_restored);
}

}  // namespace
}  // namespace remora::filters
