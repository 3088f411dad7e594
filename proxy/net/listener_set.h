// All listeners of one worker: applies what the main thread decides, finds a listener for an
// original destination, keeps removed ones until their connections are gone. Owned by the Worker;
// its thread only.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/string_map.h"
#include "proxy/net/listener.h"

namespace remora {

class ListenerSet final : public ListenerDirectory {
 public:
  explicit ListenerSet(ListenerEnvironment environment) : environment_(environment) {}
  ~ListenerSet();

  /// A new listener, or a new configuration of one of that name. `sockets`: this worker's listening
  /// sockets; empty when the listener does not bind or goes on with those it has.
  void set(std::shared_ptr<const ListenerConfig> config, std::vector<Socket> sockets);
  /// Stops accepting at once; connections drain.
  void remove(std::string_view name);
  enum class Scope : uint8_t { All, InboundOnly };
  /// Tells connections to finish politely.
  void drain(Scope scope);
  /// `failed` is written by another thread and outlives the set.
  void watch_health_check(const std::atomic<bool>& failed) { health_check_failed_ = &failed; }
  bool health_check_failed() const override {
    return health_check_failed_ != nullptr && health_check_failed_->load(std::memory_order_relaxed);
  }
  /// Closes listening sockets; connections go on.
  void stop_accepting(Scope scope);
  /// Overload action: clients wait in the kernel's queue.
  void pause_accepting();
  void resume_accepting();

  /// Ends connections, of removed listeners too.
  void end_connections(Listener::TransportCondition condition, Listener::Ending how);

  /// Drops everything at once, for the end of the worker; run the loop for one turn afterwards.
  void close_all();

  Listener* find(std::string_view name);
  Listener* find_for(const Address& destination) override;
  /// True when one of the listeners that bind does so at `address`, or at its port on any address.
  bool listens_at(const Address& address) const;
  size_t connection_count() const;
  size_t draining_count() const { return draining_.size(); }

 private:
  void on_drained(Listener& listener) override;
  void retire(std::unique_ptr<Listener> listener);
  void index_addresses();
  Listener* at(const Address& address) const;
  template <class Action>
  void for_each_in(Scope scope, Action action);

  ListenerEnvironment environment_;
  StringMap<std::unique_ptr<Listener>> listeners_;
  std::vector<std::unique_ptr<Listener>> draining_;
  absl::flat_hash_map<Address, Listener*> by_address_;
  bool paused_ = false;
  const std::atomic<bool>* health_check_failed_ = nullptr;
};

}  // namespace remora
