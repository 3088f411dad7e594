// Keeping the listeners of a worker; see the header. Its thread only.
#include "proxy/net/listener_set.h"

#include <algorithm>
#include <utility>

namespace remora {
namespace {

Address any_address(Address::Family family, uint16_t port) {
  return *Address::from_ip(family == Address::Family::V4 ? "0.0.0.0" : "::", port);
}

}  // namespace

ListenerSet::~ListenerSet() = default;

void ListenerSet::set(std::shared_ptr<const ListenerConfig> config, std::vector<Socket> sockets) {
  std::unique_ptr<Listener>& place = listeners_[config->name];
  const bool in_place =
      place != nullptr && sockets.empty() && place->config().socket_hash == config->socket_hash;
  if (in_place) {
    place->update(std::move(config));
  } else {
    auto fresh = std::make_unique<Listener>(environment_, *this, config, std::move(sockets));
    if (paused_) fresh->pause_accepting();
    std::unique_ptr<Listener> old = std::exchange(place, std::move(fresh));
    if (old != nullptr) retire(std::move(old));
  }
  index_addresses();
}

void ListenerSet::remove(std::string_view name) {
  const auto found = listeners_.find(name);
  if (found == listeners_.end()) return;
  std::unique_ptr<Listener> old = std::move(found->second);
  listeners_.erase(found);
  index_addresses();
  retire(std::move(old));
}

void ListenerSet::retire(std::unique_ptr<Listener> listener) {
  Listener& retired = *listener;
  draining_.push_back(std::move(listener));
  retired.remove();
}

void ListenerSet::on_drained(Listener& listener) {
  const auto found = std::find_if(draining_.begin(), draining_.end(),
                                  [&](const auto& each) { return each.get() == &listener; });
  if (found == draining_.end()) return;
  environment_.loop.defer_delete(std::move(*found));
  draining_.erase(found);
}

template <class Action>
void ListenerSet::for_each_in(Scope scope, Action action) {
  for (auto& [name, listener] : listeners_) {
    if (scope == Scope::InboundOnly && listener->config().direction != TrafficDirection::Inbound) {
      continue;
    }
    action(*listener);
  }
}

void ListenerSet::drain(Scope scope) {
  for_each_in(scope, [](Listener& listener) {
    if (!listener.config().drain_modify_only) listener.drain_politely();
  });
}

void ListenerSet::stop_accepting(Scope scope) {
  for_each_in(scope, [](Listener& listener) { listener.stop_accepting(); });
}

void ListenerSet::pause_accepting() {
  paused_ = true;
  for (auto& [name, listener] : listeners_) listener->pause_accepting();
}

void ListenerSet::resume_accepting() {
  paused_ = false;
  for (auto& [name, listener] : listeners_) listener->resume_accepting();
}

void ListenerSet::end_connections(Listener::TransportCondition condition, Listener::Ending how) {
  for (auto& [name, listener] : listeners_) listener->end_connections(condition, how);
  // One that gets empty leaves the list.
  std::vector<Listener*> draining;
  for (auto& listener : draining_) draining.push_back(listener.get());
  for (Listener* listener : draining) listener->end_connections(condition, how);
}

void ListenerSet::close_all() {
  stop_accepting(Scope::All);
  for (auto& [name, listener] : listeners_) listener->close_all();
  // A listener that gets empty leaves this list at once.
  const std::vector<std::unique_ptr<Listener>> retired = std::exchange(draining_, {});
  for (const auto& listener : retired) listener->close_all();
}

Listener* ListenerSet::find(std::string_view name) {
  const auto found = listeners_.find(name);
  return found == listeners_.end() ? nullptr : found->second.get();
}

void ListenerSet::index_addresses() {
  by_address_.clear();
  for (auto& [name, listener] : listeners_) {
    const ListenerConfig& config = listener->config();
    for (const Address& address : config.addresses) {
      by_address_.insert_or_assign(address, listener.get());
      // "::" with ipv4_compat is the any-address of both families.
      if (config.ipv4_compat && address.family() == Address::Family::V6 && address.is_any()) {
        by_address_.try_emplace(any_address(Address::Family::V4, address.port()), listener.get());
      }
    }
  }
}

Listener* ListenerSet::at(const Address& address) const {
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? nullptr : found->second;
}

Listener* ListenerSet::find_for(const Address& destination) {
  if (!destination.is_ip()) return nullptr;
  for (const Address& address :
       {destination, any_address(destination.family(), destination.port())}) {
    Listener* listener = at(address);
    if (listener != nullptr && listener->accepting()) return listener;
  }
  return nullptr;
}

bool ListenerSet::listens_at(const Address& address) const {
  if (!address.is_ip()) return false;
  const Listener* exact = at(address);
  const Listener* any = at(any_address(address.family(), address.port()));
  return (exact != nullptr && exact->config().bind_to_port) ||
         (any != nullptr && any->config().bind_to_port);
}

size_t ListenerSet::connection_count() const {
  size_t count = 0;
  for (const auto& [name, listener] : listeners_) count += listener->connection_count();
  for (const auto& listener : draining_) count += listener->connection_count();
  return count;
}

}  // namespace remora
