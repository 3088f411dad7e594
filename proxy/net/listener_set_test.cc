// Finding listeners for original destinations, replacing them, ending the worker.
#include "proxy/net/listener_set.h"

#include "proxy/net/listener_test_support.h"

namespace remora {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Address at(std::string_view ip, uint16_t port) { return *Address::from_ip(ip, port); }

class ListenerSetTest : public ListenerTestBase {
 protected:
  ListenerSetTest() {
    restore.on_accept = [this](ListenerFilterContext& context) {
      context.facts().local = destination;
      context.facts().local_restored = true;
      return ListenerFilter::Status::Done;
    };
  }
  /// What a sidecar has at port 15001: takes all connections and hands them on.
  Address start_virtual() {
    auto made = config("virtual", {chain(passthrough)});
    made->use_original_dst = true;
    made->listener_filters = {std::make_shared<ScriptedListenerFilterFactory>(restore)};
    return start(made);
  }
  /// A listener that does not bind.
  std::shared_ptr<ListenerConfig> unbound(const std::string& name, const Address& address,
                                          FilterScript& script) {
    auto made = config(name, {chain(script)});
    made->addresses = {address};
    made->bind_to_port = false;
    return made;
  }
  void add(const std::string& name, const Address& address, FilterScript& script) {
    set->set(unbound(name, address, script), {});
  }
  void client_goes_to(const Address& original) {
    destination = original;
    clients.push_back(connect(virtual_at));
    const uint64_t before = ++connections;
    turn_until([&] { return set->connection_count() == before; });
  }

  ListenerFilterScript restore;
  Address destination;
  Address virtual_at;
  std::vector<Socket> clients;
  uint64_t connections = 0;
  FilterScript passthrough, exact, any, other;
};

TEST_F(ListenerSetTest, HandsConnectionsToTheListenerOfTheirDestination) {
  virtual_at = start_virtual();
  add("exact", at("10.0.0.1", 80), exact);
  add("any", at("0.0.0.0", 80), any);
  client_goes_to(at("10.0.0.1", 80));
  EXPECT_THAT(exact.log, ElementsAre("new"));
  client_goes_to(at("10.0.0.2", 80));
  EXPECT_THAT(any.log, ElementsAre("new"));
  client_goes_to(at("10.0.0.2", 81));
  EXPECT_THAT(passthrough.log, ElementsAre("new"));
  EXPECT_EQ(any.contexts[0]->facts().local, at("10.0.0.2", 80));
  EXPECT_EQ(any.contexts[0]->facts().direct_local, virtual_at);
  EXPECT_EQ(any.contexts[0]->facts().listener_name, "any");
  EXPECT_EQ(stat("any", Stat::downstream_cx_total), 1u);
  EXPECT_EQ(stat("virtual", Stat::downstream_cx_total), 1u);
  EXPECT_EQ(stat("virtual", Stat::downstream_pre_cx_active), 0u);
}

TEST_F(ListenerSetTest, FamiliesAreKeptApartExceptForCompatibleOnes) {
  virtual_at = start_virtual();
  add("any6", at("::", 80), any);
  client_goes_to(at("10.0.0.1", 80));
  EXPECT_THAT(passthrough.log, ElementsAre("new"));
  auto both = unbound("any6", at("::", 80), any);
  both->ipv4_compat = true;
  set->set(both, {});
  client_goes_to(at("10.0.0.1", 80));
  EXPECT_THAT(any.log, ElementsAre("new"));
}

TEST_F(ListenerSetTest, TheSecondListenersFiltersRunToo) {
  virtual_at = start_virtual();
  auto inspected = unbound("any", at("0.0.0.0", 80), any);
  ListenerFilterScript inspector;
  inspected->listener_filters = {std::make_shared<ScriptedListenerFilterFactory>(inspector)};
  set->set(inspected, {});
  destination = at("10.0.0.1", 80);
  Socket client = connect(virtual_at);
  turn_until([&] { return stat("any", Stat::downstream_pre_cx_active) == 1; });
  EXPECT_EQ(stat("virtual", Stat::downstream_pre_cx_active), 0u);
  send(client, "hello");
  turn_until([&] { return any.log.size() == 2; });
  EXPECT_THAT(inspector.peeked, ElementsAre("hello"));
}

TEST_F(ListenerSetTest, AConnectionWhoseDestinationIsTheListenerItselfDoesNotGoRound) {
  virtual_at = start_virtual();
  client_goes_to(virtual_at);
  EXPECT_THAT(passthrough.log, ElementsAre("new")) << "its own chains decide";
}

TEST_F(ListenerSetTest, AConnectionIsHandedOverOnce) {
  virtual_at = start_virtual();
  auto second = unbound("second", at("10.0.0.1", 80), exact);
  second->use_original_dst = true;
  ListenerFilterScript redirect;
  redirect.on_accept = [](ListenerFilterContext& context) {
    context.facts().local = at("10.0.0.1", 90);
    return ListenerFilter::Status::Done;
  };
  second->listener_filters = {std::make_shared<ScriptedListenerFilterFactory>(redirect)};
  set->set(second, {});
  add("third", at("10.0.0.1", 90), other);
  client_goes_to(at("10.0.0.1", 80));
  EXPECT_THAT(exact.log, ElementsAre("new"));
  EXPECT_THAT(other.log, IsEmpty());
}

TEST_F(ListenerSetTest, RemovedListenersAreNotFoundAnyMore) {
  virtual_at = start_virtual();
  add("exact", at("10.0.0.1", 80), exact);
  EXPECT_NE(set->find_for(at("10.0.0.1", 80)), nullptr);
  set->remove("exact");
  EXPECT_EQ(set->find_for(at("10.0.0.1", 80)), nullptr);
  turn();
  client_goes_to(at("10.0.0.1", 80));
  EXPECT_THAT(passthrough.log, ElementsAre("new"));
}

TEST_F(ListenerSetTest, KnowsWhereTheProxyItselfListens) {
  virtual_at = start_virtual();
  add("exact", at("10.0.0.1", 80), exact);
  EXPECT_TRUE(set->listens_at(virtual_at));
  EXPECT_FALSE(set->listens_at(at("10.0.0.1", 80))) << "that one does not bind";
  EXPECT_FALSE(set->listens_at(at("10.0.0.1", virtual_at.port())));
}

TEST_F(ListenerSetTest, ANewSocketReplacesTheListenerAndDrainsTheOld) {
  FilterScript &old_script = new_script(), &fresh = new_script();
  const Address old_at = start(config("l", {chain(old_script)}));
  Socket client = connect(old_at);
  turn_until([&] { return set->connection_count() == 1; });
  auto moved = config("l", {chain(fresh)});
  moved->socket_hash = 2;
  const Address new_at = start(moved);
  EXPECT_NE(old_at, new_at);
  EXPECT_THAT(old_script.log, ElementsAre("new", "drain"));
  Socket another = connect(new_at);
  turn_until([&] { return set->connection_count() == 2; });
  EXPECT_THAT(fresh.log, ElementsAre("new"));
}

TEST_F(ListenerSetTest, AThousandReplacementsUnderLoadLeaveNothingBehind) {
  FilterScript& script = new_script();
  script.on_data = [](NetworkFilterContext& context, Buffer& data, bool) {
    context.connection().write(data, false);
    return NetworkFilter::Status::Continue;
  };
  auto first = config("l", {chain(script, 1)});
  const Address address = start(first);
  for (uint64_t i = 2; i < 1000; ++i) {
    Socket client = connect(address);
    send(client, "ping");
    turn();
    auto next = config("l", {chain(script, i / 2)});
    next->addresses = first->addresses;
    set->set(next, {});
    turn();
  }
  set->remove("l");
  turn_until([&] { return set->connection_count() == 0 || !script.contexts.empty(); });
  set->close_all();
  turn();
  EXPECT_EQ(limit.open(), 0u);
  EXPECT_TRUE(script.contexts.empty());
}

TEST_F(ListenerSetTest, ClosingAllTellsTheFilters) {
  FilterScript& script = new_script();
  Socket client = connect(start(config("l", {chain(script)})));
  turn_until([&] { return set->connection_count() == 1; });
  set->close_all();
  turn();
  EXPECT_THAT(script.log, ElementsAre("new", "closed"));
  EXPECT_EQ(set->connection_count(), 0u);
  EXPECT_TRUE(closed(client));
}

}  // namespace
}  // namespace remora
