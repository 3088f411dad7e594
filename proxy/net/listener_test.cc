// Accepting, listener filters, choice of chain, updates and draining.
#include "proxy/net/listener.h"

#include <sys/resource.h>

#include "proxy/base/log.h"
#include "proxy/net/listener_test_support.h"

namespace remora {
namespace {

using testing::Contains;
using testing::ElementsAre;

class ListenerTest : public ListenerTestBase {
 protected:
  /// A configuration with one scripted listener filter and one chain.
  std::shared_ptr<ListenerConfig> inspected() {
    auto made = config("l", {chain(script)});
    made->listener_filters = {std::make_shared<ScriptedListenerFilterFactory>(inspector)};
    return made;
  }
  bool connected(uint64_t count) { return stat("l", Stat::downstream_cx_total) == count; }

  FilterScript& script = new_script();
  ListenerFilterScript inspector;
};

// --- accepting ---

TEST_F(ListenerTest, AcceptsAndCounts) {
  const Address at = start(config("l", {chain(script)}));
  Socket one = connect(at), two = connect(at);
  turn_until([&] { return connected(2); });
  EXPECT_EQ(stat("l", Stat::downstream_cx_active), 2u);
  EXPECT_EQ(stat("l", Stat::downstream_pre_cx_active), 0u);
  EXPECT_EQ(limit.open(), 2u);
  EXPECT_EQ(set->connection_count(), 2u);
  script.on_data = [](NetworkFilterContext& context, Buffer&, bool) {
    context.connection().close(CloseHow::NoFlush);
    return NetworkFilter::Status::Continue;
  };
  send(one, "x");
  turn_until([&] { return stat("l", Stat::downstream_cx_destroy) == 1; });
  EXPECT_EQ(stat("l", Stat::downstream_cx_active), 1u);
  EXPECT_EQ(limit.open(), 1u);
}

TEST_F(ListenerTest, AcceptsNoMorePerEventThanConfiguredAndForgetsNobody) {
  auto made = config("l", {chain(script)});
  made->max_accepts_per_event = 1;
  const Address at = start(made);
  std::vector<Socket> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect(at));
  turn();
  EXPECT_TRUE(connected(1));
  turn();
  EXPECT_TRUE(connected(2));
  turn_until([&] { return connected(3); });
}

TEST_F(ListenerTest, RefusesOverTheGlobalLimit) {
  limit.set_max(1);
  const Address at = start(config("l", {chain(script)}));
  Socket one = connect(at);
  turn_until([&] { return connected(1); });
  Socket two = connect(at);
  turn_until([&] { return stat("l", Stat::downstream_global_cx_overflow) == 1; });
  EXPECT_TRUE(closed(two));
  EXPECT_EQ(limit.open(), 1u);
}

TEST_F(ListenerTest, AListenerMayIgnoreTheGlobalLimit) {
  limit.set_max(0);
  auto made = config("l", {chain(script)});
  made->ignore_global_connection_limit = true;
  Socket client = connect(start(made));
  turn_until([&] { return connected(1); });
}

TEST_F(ListenerTest, WithoutDescriptorsItWaitsAndRecovers) {
  const Address at = start(config("l", {chain(script)}));
  Socket earlier = connect(at);
  turn_until([&] { return connected(1); });
  turn();
  Socket client = connect(at);
  set_log_level(LogComponent::conn_handler, LogLevel::off);
  rlimit saved;
  getrlimit(RLIMIT_NOFILE, &saved);
  rlimit none = saved;
  none.rlim_cur = 3;
  setrlimit(RLIMIT_NOFILE, &none);
  turn();
  turn();
  setrlimit(RLIMIT_NOFILE, &saved);
  EXPECT_TRUE(connected(1));
  turn();
  EXPECT_TRUE(connected(1)) << "it does not spin";
  turn_until([&] { return connected(2); });
}

TEST_F(ListenerTest, PausedClientsWaitInTheQueue) {
  const Address at = start(config("l", {chain(script)}));
  set->pause_accepting();
  Socket client = connect(at);
  turn();
  EXPECT_TRUE(connected(0));
  set->resume_accepting();
  turn_until([&] { return connected(1); });
}

// --- choosing the chain ---

TEST_F(ListenerTest, WithoutAMatchTheDefaultChainServes) {
  auto tls_only = chain(script, 1);
  tls_only.match.transport_protocol = "tls";
  auto made = config("l", {tls_only});
  FilterScript& fallback = new_script();
  made->default_chain = chain(fallback, 2);
  Socket client = connect(start(made));
  turn_until([&] { return connected(1); });
  EXPECT_THAT(fallback.log, ElementsAre("new"));
  EXPECT_TRUE(script.log.empty());
}

TEST_F(ListenerTest, WithoutAnyChainTheConnectionIsClosedAndLogged) {
  auto tls_only = chain(script, 1);
  tls_only.match.transport_protocol = "tls";
  Socket client = connect(start(config("l", {tls_only})));
  turn_until([&] { return closed(client); });
  EXPECT_EQ(stat("l", Stat::no_filter_chain_match), 1u);
  EXPECT_EQ(stat("l", Stat::downstream_cx_total), 0u);
  EXPECT_THAT(ended, ElementsAre("NR"));
  EXPECT_EQ(limit.open(), 0u);
}

// --- listener filters ---

TEST_F(ListenerTest, AnInspectorSeesTheBytesGrowAndTakesNone) {
  inspector.on_peek = [](ListenerFilterContext& context, std::string_view bytes) {
    if (bytes.size() < 4) return ListenerFilter::Status::NeedData;
    context.facts().application_protocols = {"http/1.1"};
    return ListenerFilter::Status::Done;
  };
  Socket client = connect(start(inspected()));
  turn_until([&] { return stat("l", Stat::downstream_pre_cx_active) == 1; });
  send(client, "GE");
  turn_until([&] { return inspector.peeked.size() == 1; });
  EXPECT_TRUE(connected(0));
  send(client, "T / HTTP/1.1");
  turn_until([&] { return script.log.size() == 2; });
  EXPECT_THAT(inspector.peeked, ElementsAre("GE", "GET / HTTP/1.1"));
  EXPECT_THAT(script.log, ElementsAre("new", "data:GET / HTTP/1.1"));
  EXPECT_EQ(stat("l", Stat::downstream_pre_cx_active), 0u);
}

TEST_F(ListenerTest, ADisabledFilterIsNotAsked) {
  inspector.disabled_for = [](const ConnectionFacts& facts) { return facts.local.port() != 0; };
  Socket client = connect(start(inspected()));
  turn_until([&] { return connected(1); });
  EXPECT_TRUE(inspector.peeked.empty());
}

TEST_F(ListenerTest, ASilentClientIsClosedInTime) {
  auto made = inspected();
  made->listener_filters_timeout_ms = 20;
  Socket client = connect(start(made));
  turn_until([&] { return closed(client); });
  EXPECT_EQ(stat("l", Stat::downstream_pre_cx_timeout), 1u);
  EXPECT_TRUE(connected(0));
  EXPECT_EQ(limit.open(), 0u);
}

TEST_F(ListenerTest, OrServedWithoutTheAnswerWhereConfigured) {
  auto made = inspected();
  made->listener_filters_timeout_ms = 20;
  made->continue_on_listener_filters_timeout = true;
  Socket client = connect(start(made));
  turn_until([&] { return connected(1); });
  EXPECT_EQ(stat("l", Stat::downstream_pre_cx_timeout), 1u);
}

TEST_F(ListenerTest, AClientThatLeavesBeforeSayingEnoughIsForgotten) {
  inspector.on_peek = [](ListenerFilterContext&, std::string_view) {
    return ListenerFilter::Status::NeedData;
  };
  Socket client = connect(start(inspected()));
  send(client, "G");
  turn_until([&] { return inspector.peeked.size() == 1; });
  client.close();
  turn_until([&] { return stat("l", Stat::downstream_pre_cx_active) == 0; });
  EXPECT_EQ(stat("l", Stat::downstream_listener_filter_remote_close), 1u);
}

TEST_F(ListenerTest, AFilterIsNotCalledForFewerBytesThanItWants) {
  inspector.on_peek = [](ListenerFilterContext&, std::string_view bytes) {
    return bytes.size() < 10 ? ListenerFilter::Status::NeedData : ListenerFilter::Status::Done;
  };
  inspector.wanted_bytes = [] { return size_t{10}; };
  Socket client = connect(start(inspected()));
  send(client, "1");
  turn_until([&] { return inspector.peeked.size() == 1; });
  for (const char* piece : {"2", "3", "4", "5", "6", "7", "8", "9"}) {
    send(client, piece);
    turn();
  }
  EXPECT_EQ(inspector.peeked.size(), 1u);
  send(client, "X");
  turn_until([&] { return script.log.size() == 2; });
  EXPECT_THAT(inspector.peeked, ElementsAre("1", "123456789X"));
  EXPECT_THAT(script.log, ElementsAre("new", "data:123456789X"));
  send(client, "!");  // and whoever reads the connection is told of every byte again
  turn_until([&] { return script.log.size() == 3; });
}

TEST_F(ListenerTest, AClientThatLeavesBeforeThatIsNoticed) {
  inspector.on_peek = [](ListenerFilterContext&, std::string_view) {
    return ListenerFilter::Status::NeedData;
  };
  inspector.wanted_bytes = [] { return size_t{10}; };
  Socket client = connect(start(inspected()));
  send(client, "1");
  turn_until([&] { return inspector.peeked.size() == 1; });
  client.close();
  turn_until([&] { return stat("l", Stat::downstream_pre_cx_active) == 0; });
  EXPECT_EQ(stat("l", Stat::downstream_listener_filter_remote_close), 1u);
}

TEST_F(ListenerTest, WhatAFilterConsumedNobodySeesAgain) {
  inspector.on_peek = [](ListenerFilterContext& context, std::string_view bytes) {
    if (bytes.size() < 5) return ListenerFilter::Status::NeedData;
    return context.consume(4) ? ListenerFilter::Status::Done : ListenerFilter::Status::Reject;
  };
  ListenerFilterScript second;
  auto made = inspected();
  made->listener_filters.push_back(std::make_shared<ScriptedListenerFilterFactory>(second));
  Socket client = connect(start(made));
  send(client, "HEADbody");
  turn_until([&] { return script.log.size() == 2; });
  EXPECT_THAT(second.peeked, ElementsAre("body"));
  EXPECT_THAT(script.log, ElementsAre("new", "data:body"));
}

TEST_F(ListenerTest, ARejectedClientIsClosed) {
  inspector.on_accept = [](ListenerFilterContext&) { return ListenerFilter::Status::Reject; };
  Socket client = connect(start(inspected()));
  turn_until([&] { return closed(client); });
  EXPECT_EQ(stat("l", Stat::downstream_listener_filter_error), 0u) << "filters count by themselves";
}

TEST_F(ListenerTest, AConnectionThatBreaksIsCounted) {
  Socket client = connect(start(inspected()));
  turn_until([&] { return stat("l", Stat::downstream_pre_cx_active) == 1; });
  set_abortive_close(client.fd());
  client.close();
  turn_until([&] { return stat("l", Stat::downstream_pre_cx_active) == 0; });
  EXPECT_EQ(stat("l", Stat::downstream_listener_filter_error), 1u);
}

// --- updates ---

TEST_F(ListenerTest, AnUpdateLeavesConnectionsOfKeptChainsAlone) {
  FilterScript &kept = new_script(), &dropped = new_script();
  auto kept_chain = chain(kept, 1);
  auto dropped_chain = chain(dropped, 2);
  kept_chain.match.source_type = FilterChainMatchSpec::SourceType::SameIpOrLoopback;
  dropped_chain.match.source_type = FilterChainMatchSpec::SourceType::Any;
  auto before = config("l", {kept_chain, dropped_chain});
  const Address at = start(before);
  Socket client = connect(at);
  turn_until([&] { return connected(1); });

  auto after = config("l", {kept_chain});
  after->addresses = before->addresses;
  set->set(after, {});
  turn();
  EXPECT_THAT(kept.log, ElementsAre("new"));
  EXPECT_EQ(set->draining_count(), 0u) << "the same sockets, the same listener";
  Socket another = connect(at);
  turn_until([&] { return connected(2); });
}

TEST_F(ListenerTest, AnUpdateDrainsConnectionsOfVanishedChainsAndClosesThemInTime) {
  environment.drain_time_ms = 30;
  set = std::make_unique<ListenerSet>(environment);
  auto before = config("l", {chain(script, 1)});
  const Address at = start(before);
  Socket client = connect(at);
  turn_until([&] { return connected(1); });

  FilterScript& fresh = new_script();
  auto after = config("l", {chain(fresh, 2)});
  after->addresses = before->addresses;
  set->set(after, {});
  EXPECT_THAT(script.log, ElementsAre("new", "drain"));
  EXPECT_TRUE(script.contexts[0]->draining());
  Socket another = connect(at);
  turn_until([&] { return connected(2); });
  turn_until([&] { return closed(client); });
  EXPECT_THAT(ended, ElementsAre("drain_time_reached"));
  EXPECT_THAT(fresh.log, ElementsAre("new")) << "the new chain's connection is untouched";
}

// --- draining ---

TEST_F(ListenerTest, ARemovedListenerStopsAcceptingAndLivesAsLongAsItsConnections) {
  const Address at = start(config("l", {chain(script)}));
  Socket client = connect(at);
  turn_until([&] { return connected(1); });
  set->remove("l");
  EXPECT_THAT(script.log, ElementsAre("new", "drain"));
  EXPECT_EQ(set->draining_count(), 1u);
  EXPECT_EQ(set->find("l"), nullptr);
  int error = 0;
  Socket late = connect_to(at, {}, &error);
  turn();
  EXPECT_TRUE(error == ECONNREFUSED || pending_socket_error(late.fd()) == ECONNREFUSED);
  send(client, "still served");
  turn_until([&] { return script.log.size() == 3; });
  script.contexts[0]->connection().close(CloseHow::NoFlush);
  EXPECT_EQ(set->draining_count(), 0u);
}

TEST_F(ListenerTest, ARemovedListenerClosesWhatIsLeftAfterTheDrainTime) {
  environment.drain_time_ms = 20;
  set = std::make_unique<ListenerSet>(environment);
  Socket client = connect(start(config("l", {chain(script)})));
  turn_until([&] { return connected(1); });
  set->remove("l");
  turn_until([&] { return set->draining_count() == 0; });
  EXPECT_TRUE(closed(client));
}

TEST_F(ListenerTest, GradualDrainingTellsConnectionsOneAfterTheOther) {
  environment.drain_time_ms = 200;
  environment.gradual_drain = true;
  set = std::make_unique<ListenerSet>(environment);
  const Address at = start(config("l", {chain(script)}));
  std::vector<Socket> clients;
  for (int i = 0; i < 32; ++i) clients.push_back(connect(at));
  turn_until([&] { return connected(32); });
  const auto drained = [&] { return std::count(script.log.begin(), script.log.end(), "drain"); };
  set->drain(ListenerSet::Scope::All);
  EXPECT_EQ(drained(), 1);
  turn_until([&] { return drained() > 4; });
  EXPECT_LT(drained(), 32);
  turn_until([&] { return drained() == 32; });
  EXPECT_EQ(set->connection_count(), 32u) << "told, not closed";
}

TEST_F(ListenerTest, GradualDrainingTellsConnectionsToComeTheMoreTheLaterTheyCome) {
  environment.drain_time_ms = 400;
  environment.gradual_drain = true;
  set = std::make_unique<ListenerSet>(environment);
  const Address at = start(config("l", {chain(script)}));
  set->drain(ListenerSet::Scope::All);
  const MonotonicMs over = loop.now_ms() + environment.drain_time_ms;
  std::vector<Socket> clients;
  const auto drained = [&] { return std::count(script.log.begin(), script.log.end(), "drain"); };
  for (int i = 0; i < 32; ++i) clients.push_back(connect(at));
  turn_until([&] { return connected(32); });
  EXPECT_LT(drained(), 32);
  turn_until([&] { return drained() == 32; });
  turn_until([&] { return loop.now_ms() >= over; });
  clients.push_back(connect(at));
  turn_until([&] { return connected(33); });
  EXPECT_EQ(drained(), 33);
}

TEST_F(ListenerTest, ConnectionsCountAsDrainingWhileTheHealthCheckShallFail) {
  Socket client = connect(start(config("l", {chain(script)})));
  auto modify_only = config("m", {chain(script, 2)});
  modify_only->drain_modify_only = true;
  turn_until([&] { return connected(1); });
  Socket other = connect(start(modify_only));
  turn_until([&] { return stat("m", Stat::downstream_cx_total) == 1; });
  std::atomic<bool> failed{true};
  set->watch_health_check(failed);
  EXPECT_TRUE(script.contexts[0]->draining());
  EXPECT_FALSE(script.contexts[1]->draining());
  failed = false;
  EXPECT_FALSE(script.contexts[0]->draining());
  EXPECT_THAT(script.log, ElementsAre("new", "new")) << "it is no event";
}

TEST_F(ListenerTest, DrainingTellsConnectionsToComeAndGoesByDirection) {
  auto inbound = config("l", {chain(script)});
  inbound->direction = TrafficDirection::Inbound;
  const Address at = start(inbound);
  FilterScript& other = new_script();
  const Address outbound = start(config("out", {chain(other)}));
  Socket client = connect(outbound);
  turn_until([&] { return stat("out", Stat::downstream_cx_total) == 1; });

  set->drain(ListenerSet::Scope::InboundOnly);
  Socket late = connect(at);
  turn_until([&] { return connected(1); });
  EXPECT_THAT(script.log, ElementsAre("new", "drain"));
  EXPECT_THAT(other.log, ElementsAre("new"));
}

TEST_F(ListenerTest, ListenersThatDrainOnModificationOnlyIgnoreAServerDrain) {
  auto made = config("l", {chain(script)});
  made->drain_modify_only = true;
  Socket client = connect(start(made));
  turn_until([&] { return connected(1); });
  set->drain(ListenerSet::Scope::All);
  EXPECT_THAT(script.log, ElementsAre("new"));
  set->remove("l");
  EXPECT_THAT(script.log, Contains("drain"));
}

}  // namespace
}  // namespace remora
