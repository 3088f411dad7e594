// The order in which network filters are asked.
#include "proxy/net/filter_chain.h"

#include "proxy/net/listener_test_support.h"

namespace remora {
namespace {

using Status = NetworkFilter::Status;
using testing::ElementsAre;
using testing::IsEmpty;

class FilterChainTest : public ListenerTestBase {
 protected:
  /// A listener whose only chain has the first and the last filter.
  void open() {
    auto both = chain(first);
    both.filters.push_back(std::make_shared<ScriptedFilterFactory>(last));
    client = connect(start(config("l", {both})));
    turn_until([&] { return stat("l", Stat::downstream_cx_total) == 1; });
  }
  void open_with(FilterChainConfig made) {
    client = connect(start(config("l", {std::move(made)})));
    turn_until([&] { return stat("l", Stat::downstream_cx_total) == 1; });
  }
  static Status consume(NetworkFilterContext&, Buffer& data, bool) {
    data.clear();
    return Status::Continue;
  }
  void client_sends(std::string_view text) {
    send(client, text);
    const size_t before = first.log.size();
    turn_until([&] { return first.log.size() > before; });
  }

  FilterScript first;
  FilterScript last;
  Socket client;
};

TEST_F(FilterChainTest, EveryFilterSeesTheConnectionAndTheBytesInOrder) {
  last.on_data = consume;
  open();
  EXPECT_THAT(first.log, ElementsAre("new"));
  EXPECT_THAT(last.log, ElementsAre("new"));
  client_sends("hello");
  EXPECT_THAT(first.log, ElementsAre("new", "data:hello"));
  EXPECT_THAT(last.log, ElementsAre("new", "data:hello"));
}

TEST_F(FilterChainTest, AFilterThatStopsHoldsBackTheConnectionAndItsBytes) {
  first.on_new_connection = [](NetworkFilterContext&) { return Status::StopIteration; };
  first.on_data = [](NetworkFilterContext&, Buffer&, bool) { return Status::StopIteration; };
  last.on_data = consume;
  open();
  client_sends("early");
  EXPECT_THAT(last.log, IsEmpty());
  first.contexts[0]->continue_reading();
  EXPECT_THAT(last.log, ElementsAre("new", "data:early"));
  first.on_data = nullptr;
  client_sends("later");
  EXPECT_THAT(last.log, ElementsAre("new", "data:early", "data:later"));
}

TEST_F(FilterChainTest, ContinuingBeforeReturningStopIterationGoesOn) {
  first.on_data = [](NetworkFilterContext& context, Buffer&, bool) {
    context.continue_reading();
    return Status::StopIteration;
  };
  last.on_data = consume;
  open();
  client_sends("x");
  EXPECT_THAT(last.log, ElementsAre("new", "data:x"));
}

TEST_F(FilterChainTest, ContinuingWhenNothingStoppedDoesNothing) {
  last.on_data = consume;
  open();
  first.contexts[0]->continue_reading();
  EXPECT_THAT(first.log, ElementsAre("new"));
}

TEST_F(FilterChainTest, TheEndOfTheStreamIsToldOnceToEachFilter) {
  bool stop = true;
  first.on_data = [&](NetworkFilterContext&, Buffer&, bool) {
    return stop ? Status::StopIteration : Status::Continue;
  };
  last.on_data = consume;
  open();
  send(client, "last");
  shutdown(client.fd(), SHUT_WR);
  turn_until([&] { return first.log.size() == 2 && first.log[1] == "data:last+end"; });
  stop = false;
  first.contexts[0]->continue_reading();
  EXPECT_THAT(last.log, ElementsAre("new", "data:last+end"));
  turn();
  EXPECT_EQ(last.log.size(), 2u);
}

TEST_F(FilterChainTest, AFilterThatClosesEndsTheIteration) {
  first.on_new_connection = [](NetworkFilterContext& context) {
    context.set_termination_details("rbac_access_denied");
    context.connection().close(CloseHow::NoFlush);
    return Status::Continue;
  };
  open();
  EXPECT_THAT(first.log, ElementsAre("new", "closed"));
  EXPECT_THAT(last.log, ElementsAre("closed"));
  EXPECT_THAT(ended, ElementsAre("rbac_access_denied"));
  turn();
  EXPECT_TRUE(first.contexts.empty()) << "destroyed at the end of the turn";
}

TEST_F(FilterChainTest, FactsNameTheConnectionsChainAndListener) {
  first.on_new_connection = [&](NetworkFilterContext& context) {
    EXPECT_EQ(context.facts().filter_chain_name, "chain-1");
    EXPECT_EQ(context.facts().listener_name, "l");
    EXPECT_EQ(context.facts().transport_protocol, "raw_buffer");
    EXPECT_EQ(context.facts().remote, local_address_of(client.fd()));
    EXPECT_EQ(context.facts().local, peer_address_of(client.fd()));
    EXPECT_FALSE(context.facts().local_restored);
    EXPECT_EQ(context.connection().id(), 7u);
    EXPECT_EQ(&context.worker(), &worker);
    EXPECT_GT(context.facts().accepted_at_ns, 0);
    return Status::Continue;
  };
  open();
}

TEST_F(FilterChainTest, AnsweringFromOnNewConnectionReachesTheClient) {
  first.on_new_connection = [](NetworkFilterContext& context) {
    context.connection().write_buffer().append("220 ready");
    context.connection().write_buffer_changed();
    return Status::Continue;
  };
  open();
  turn();
  EXPECT_EQ(receive(client), "220 ready");
}

/// A transport that never gets ready.
class StuckFactory : public TransportFactory {
 public:
  std::unique_ptr<Transport> make(int, const TransportOptions&) const override {
    return std::make_unique<Stuck>();
  }
  bool secure() const override { return true; }

 private:
  class Stuck : public Transport {
   public:
    IoResult read(Buffer&, size_t, bool) override { return {IoResult::Next::WouldBlock}; }
    IoResult write(Buffer&, bool) override { return {IoResult::Next::WouldBlock}; }
    bool start() override { return false; }
    bool ready() const override { return false; }
    std::string_view negotiated_protocol() const override { return {}; }
    std::string_view failure_reason() const override { return {}; }
    bool secure() const override { return true; }
  };
};

TEST_F(FilterChainTest, ATransportThatNeverGetsReadyIsGivenUp) {
  auto stuck = chain(first);
  stuck.transport = std::make_shared<StuckFactory>();
  stuck.transport_connect_timeout_ms = 20;
  open_with(std::move(stuck));
  EXPECT_THAT(first.log, IsEmpty()) << "filters wait for the transport";
  turn_until([&] { return closed(client); });
  EXPECT_EQ(stat("l", Stat::downstream_cx_transport_socket_connect_timeout), 1u);
  EXPECT_THAT(ended, ElementsAre("transport socket timeout was reached"));
}

TEST_F(FilterChainTest, AChainWithoutFiltersClosesItsConnections) {
  auto empty = chain(first);
  empty.filters.clear();
  open_with(std::move(empty));
  turn_until([&] { return closed(client); });
}

}  // namespace
}  // namespace remora
