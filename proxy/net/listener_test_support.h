// What the tests of listeners share: a loop, a store of statistics, scripted filters, clients over
// loopback TCP.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/net/listener_set.h"
#include "proxy/stats/store.h"

namespace remora {

// The context is only passed through: listeners never look into it.
class WorkerContext {};

/// What a test sees of a network filter and how the filter behaves.
struct FilterScript {
  using Status = NetworkFilter::Status;
  std::vector<std::string> log;  // "new", "data:TEXT", "end", "drain", "closed", "high", "low"
  std::function<Status(NetworkFilterContext&)> on_new_connection;
  std::function<Status(NetworkFilterContext&, Buffer&, bool)> on_data;
  std::vector<NetworkFilterContext*> contexts;  // of the living filters, oldest first
};

class ScriptedFilter : public NetworkFilter {
 public:
  ScriptedFilter(FilterScript& script, NetworkFilterContext& context)
      : script_(script), context_(context) {
    script_.contexts.push_back(&context_);
  }
  ~ScriptedFilter() override { std::erase(script_.contexts, &context_); }

  Status on_new_connection() override {
    script_.log.push_back("new");
    return script_.on_new_connection ? script_.on_new_connection(context_) : Status::Continue;
  }
  Status on_data(Buffer& data, bool end_stream) override {
    script_.log.push_back("data:" + data.to_string() + (end_stream ? "+end" : ""));
    return script_.on_data ? script_.on_data(context_, data, end_stream) : Status::Continue;
  }
  void on_closed(CloseCause) override { script_.log.push_back("closed"); }
  void on_drain() override { script_.log.push_back("drain"); }

 private:
  FilterScript& script_;
  NetworkFilterContext& context_;
};

class ScriptedFilterFactory : public NetworkFilterFactory {
 public:
  explicit ScriptedFilterFactory(FilterScript& script) : script_(script) {}
  std::unique_ptr<NetworkFilter> make(NetworkFilterContext& context) const override {
    return std::make_unique<ScriptedFilter>(script_, context);
  }
  bool terminal() const override { return true; }

 private:
  FilterScript& script_;
};

struct ListenerFilterScript {
  using Status = ListenerFilter::Status;
  std::function<Status(ListenerFilterContext&)> on_accept;
  std::function<Status(ListenerFilterContext&, std::string_view)> on_peek;
  std::function<bool(const ConnectionFacts&)> disabled_for;
  std::function<size_t()> wanted_bytes;
  std::vector<std::string> peeked;
};

class ScriptedListenerFilter : public ListenerFilter {
 public:
  explicit ScriptedListenerFilter(ListenerFilterScript& script) : script_(script) {}
  Status on_accept(ListenerFilterContext& context) override {
    return script_.on_accept ? script_.on_accept(context) : Status::NeedData;
  }
  Status on_peek(ListenerFilterContext& context, std::string_view bytes) override {
    script_.peeked.emplace_back(bytes);
    return script_.on_peek ? script_.on_peek(context, bytes) : Status::Done;
  }
  size_t max_peek_bytes() const override { return 1024; }
  size_t wanted_bytes() const override { return script_.wanted_bytes ? script_.wanted_bytes() : 1; }

 private:
  ListenerFilterScript& script_;
};

class ScriptedListenerFilterFactory : public ListenerFilterFactory {
 public:
  explicit ScriptedListenerFilterFactory(ListenerFilterScript& script) : script_(script) {}
  std::unique_ptr<ListenerFilter> make() const override {
    return std::make_unique<ScriptedListenerFilter>(script_);
  }
  bool disabled_for(const ConnectionFacts& facts) const override {
    return script_.disabled_for && script_.disabled_for(facts);
  }

 private:
  ListenerFilterScript& script_;
};

class ListenerTestBase : public testing::Test {
 protected:
  using Stat = stats::ListenerStat;

  ListenerTestBase() : store(*stats::Store::make({}, 1)) {
    environment.connection_limit = &limit;
    environment.drain_time_ms = 60'000;
    environment.gradual_drain = false;
    environment.next_connection_id = [](WorkerContext&) { return uint64_t{7}; };
    environment.log_connection = [](WorkerContext&, const ConnectionEnd& end) {
      ended.push_back(end.no_filter_chain ? "NR" : std::string(end.termination_details));
    };
    ended.clear();
    set = std::make_unique<ListenerSet>(environment);
  }
  /// While the scripts of the fixtures are still there.
  void TearDown() override {
    set->close_all();
    turn();
    set.reset();
    turn();
  }

  /// A script that lives as long as the connections do.
  FilterScript& new_script() { return scripts.emplace_back(); }

  // --- configuration ---
  FilterChainConfig chain(FilterScript& script, uint64_t content_hash = 1) {
    FilterChainConfig made;
    made.name = "chain-" + std::to_string(content_hash);
    made.transport = raw_transport_factory();
    made.filters = {std::make_shared<ScriptedFilterFactory>(script)};
    made.content_hash = content_hash;
    return made;
  }
  std::shared_ptr<ListenerConfig> config(std::string name, std::vector<FilterChainConfig> chains) {
    auto made = std::make_shared<ListenerConfig>();
    made->name = name;
    made->addresses = {*Address::from_ip("127.0.0.1", 0)};
    made->chains = std::move(chains);
    made->stats = store->group<stats::ListenerSchema>("listener." + name);
    for (size_t i = 0; i < made->chains.size(); ++i) {
      EXPECT_TRUE(made->matcher.add(made->chains[i].match, i).ok());
    }
    return made;
  }
  /// Binds a port of its own and hands it to the set.
  Address start(std::shared_ptr<ListenerConfig> config) {
    auto socket = listen_on(config->addresses[0], {});
    EXPECT_TRUE(socket.ok()) << socket.status();
    const Address bound = local_address_of(socket->fd());
    config->addresses[0] = bound;
    std::vector<Socket> sockets;
    sockets.push_back(std::move(*socket));
    set->set(std::move(config), std::move(sockets));
    return bound;
  }
  uint64_t stat(const std::string& listener, Stat which) {
    return store->group<stats::ListenerSchema>("listener." + listener)->at(0).value(which);
  }

  // --- clients ---
  Socket connect(const Address& to) {
    int error = 0;
    Socket client = connect_to(to, {}, &error);
    EXPECT_TRUE(error == 0 || error == EINPROGRESS) << error;
    return client;
  }
  static void send(const Socket& client, std::string_view text) {
    ASSERT_EQ(::send(client.fd(), text.data(), text.size(), MSG_NOSIGNAL), ssize_t(text.size()));
  }
  /// What waits; "<FIN>" or "<RESET>" at the end.
  static std::string receive(const Socket& client) {
    char text[4096];
    std::string all;
    for (;;) {
      const ssize_t got = ::recv(client.fd(), text, sizeof(text), MSG_DONTWAIT);
      if (got > 0) {
        all.append(text, static_cast<size_t>(got));
        continue;
      }
      if (got == 0) all += "<FIN>";
      if (got < 0 && errno == ECONNRESET) all += "<RESET>";
      return all;
    }
  }
  bool closed(const Socket& client) {
    const std::string got = receive(client);
    return got.ends_with("<FIN>") || got.ends_with("<RESET>");
  }

  void turn() { loop.run_once(0); }
  void turn_until(const std::function<bool()>& condition) {
    const MonotonicMs give_up = monotonic_now_ms() + 5000;
    while (!condition() && monotonic_now_ms() < give_up) loop.run_once(5);
    ASSERT_TRUE(condition());
  }

  std::deque<FilterScript> scripts;
  EventLoop loop;
  WorkerContext worker;
  ConnectionLimit limit;
  std::unique_ptr<stats::Store> store;
  ListenerEnvironment environment{loop, worker};
  std::unique_ptr<ListenerSet> set;
  static inline std::vector<std::string> ended;
};

}  // namespace remora
