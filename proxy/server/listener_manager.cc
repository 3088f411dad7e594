#include "proxy/server/listener_manager.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "proxy/base/log.h"
#include "proxy/stats/names.h"
#include "xds/translate/listener.h"

namespace remora::server {
namespace {

ListenOptions listen_options_of(const ListenerConfig& config) {
  ListenOptions options;
  options.reuse_port = config.reuse_port;
  options.transparent = config.transparent;
  options.freebind = config.freebind;
  options.v6_only = !config.ipv4_compat;
  options.backlog = config.backlog;
  options.unix_mode = config.unix_mode;
  options.options = config.socket_options;
  return options;
}

/// A second descriptor of the same socket, for workers that share one (no SO_REUSEPORT, Unix
/// sockets).
Socket share(const Socket& socket) { return Socket(fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0)); }

}  // namespace

ListenerManager::ListenerManager(Publisher& publisher, RouteManager& routes, SecretManager& secrets,
                                 EventLoop& loop, stats::Store& stats,
                                 xds::translate::Context& context, uint64_t drain_time_ms)
    : publisher_(publisher),
      routes_(routes),
      secrets_(secrets),
      loop_(loop),
      stats_(stats.group<stats::ListenerManagerSchema>(stats::kListenerManagerPrefix)),
      context_(context),
      drain_time_ms_(drain_time_ms) {
  routes_.set_on_settled([this] { settle_warming(); });
  secrets_.add_on_settled([this] { settle_warming(); });
}

ListenerManager::~ListenerManager() { routes_.set_on_settled(nullptr); }

absl::Status ListenerManager::add_static(const envoy::config::listener::v3::Listener& proto,
                                         std::shared_ptr<const ListenerConfig> config) {
  if (active_.count(config->name) || warming_.count(config->name)) {
    return absl::InvalidArgumentError("duplicate listener '" + config->name + "'");
  }
  return apply(proto, std::move(config), "", true);
}

absl::Status ListenerManager::check_static(
    const std::vector<std::shared_ptr<const ListenerConfig>>& configs) const {
  std::set<std::string> names;
  for (const auto& config : configs) {
    if (!names.insert(config->name).second)
      return absl::InvalidArgumentError("duplicate listener '" + config->name + "'");
  }
  return absl::OkStatus();
}

void ListenerManager::start_workers() {
  workers_started_ = true;
  for (auto& [name, listener] : active_) publish(*listener);
  stats_->set(stats::ListenerManagerMainStat::workers_started, 1);
}

void ListenerManager::when_initialized(bool wait_for_lds, std::function<void()> done) {
  wait_for_lds_ = wait_for_lds;
  on_initialized_ = std::move(done);
  check_initialized();
}

std::vector<xds::Reject> ListenerManager::on_resources(const xds::Update& update) {
  std::vector<xds::Reject> rejects;
  std::set<std::string> seen;
  // Removals first: a new listener may want the address of one that goes.
  for (const std::string& name : update.removed) remove(name);
  for (const xds::ResourcePtr& resource : update.added) {
    envoy::config::listener::v3::Listener proto;
    if (!resource->body.UnpackTo(&proto)) {
      rejects.push_back({resource->name, "not a Listener"});
      continue;
    }
    if (proto.name().empty()) proto.set_name(resource->name);
    if (!seen.insert(proto.name()).second) {
      rejects.push_back({resource->name, "duplicate listener " + proto.name() + " found"});
      continue;
    }
    auto config = xds::translate::listener(proto, context_);
    absl::Status status = config.status();
    if (config.ok()) status = apply(proto, *std::move(config), std::string(update.version), false);
    if (!status.ok()) rejects.push_back({resource->name, std::string(status.message())});
  }
  lds_version_ = std::string(update.version);
  rejected_ = rejects;
  lds_answered_ = true;
  want_routes();
  settle_warming();
  update_gauges();
  check_initialized();
  return rejects;
}

void ListenerManager::on_initial_fetch_timeout() {
  lds_answered_ = true;
  check_initialized();
}

absl::Status ListenerManager::apply(const envoy::config::listener::v3::Listener& proto,
                                    std::shared_ptr<const ListenerConfig> config,
                                    const std::string& version, bool is_static) {
  const std::string name = config->name;
  auto current = active_.find(name);
  if (current != active_.end() && current->second->is_static && !is_static) {
    return absl::InvalidArgumentError("listener '" + name +
                                      "' is defined in the bootstrap and cannot be changed");
  }
  auto pending = warming_.find(name);
  if (pending != warming_.end() && pending->second->config->content_hash == config->content_hash)
    return absl::OkStatus();
  if (pending == warming_.end() && current != active_.end() &&
      current->second->config->content_hash == config->content_hash) {
    current->second->version = version;
    return absl::OkStatus();
  }

  auto listener = std::make_unique<ManagedListener>();
  listener->config = std::move(config);
  listener->proto = Kept(proto);
  listener->is_static = is_static;
  listener->version = version;
  listener->updated_at = wall_now_ns();
  bool keeps_sockets = current != active_.end() &&
                       current->second->config->socket_hash == listener->config->socket_hash;
  if (keeps_sockets) {
    listener->bound = current->second->bound;
    // Not handed over yet: the replacement inherits them.
    if (!workers_started_) listener->sockets = std::move(current->second->sockets);
  } else {
    absl::Status status = check_address(*listener->config);
    if (status.ok()) status = bind(*listener);
    if (!status.ok()) {
      stats_->inc(stats::ListenerManagerMainStat::listener_create_failure);
      return status;
    }
  }
  if (current == active_.end()) {
    stats_->inc(stats::ListenerManagerMainStat::listener_added);
  } else {
    stats_->inc(stats::ListenerManagerMainStat::listener_modified);
    if (keeps_sockets) stats_->inc(stats::ListenerManagerMainStat::listener_in_place_updated);
  }
  warming_[name] = std::move(listener);
  if (is_static) {
    want_routes();
    settle_warming();
  }
  return absl::OkStatus();
}

/// SO_REUSEPORT would let two listeners share a port in silence.
absl::Status ListenerManager::check_address(const ListenerConfig& config) const {
  for (const auto* map : {&active_, &warming_}) {
    for (const auto& [name, other] : *map) {
      if (name == config.name || other->config->bind_to_port != config.bind_to_port) continue;
      for (const Address& address : config.addresses) {
        if (address.is_ip() && address.port() == 0) continue;
        if (std::find(other->bound.begin(), other->bound.end(), address) != other->bound.end()) {
          return absl::InvalidArgumentError("error adding listener: '" + config.name +
                                            "' has duplicate address '" + address.to_string() +
                                            "' as existing listener '" + name + "'");
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::Status ListenerManager::bind(ManagedListener& listener) {
  const ListenerConfig& config = *listener.config;
  listener.bound = config.addresses;
  if (!config.bind_to_port) return absl::OkStatus();
  ListenOptions options = listen_options_of(config);
  listener.sockets.resize(publisher_.workers());
  for (Address& address : listener.bound) {
    for (size_t worker = 0; worker < publisher_.workers(); ++worker) {
      bool own = worker == 0 || (config.reuse_port && address.is_ip());
      if (!own) {
        listener.sockets[worker].push_back(share(listener.sockets[0].back()));
        continue;
      }
      auto socket = bind_listener(address, options);
      if (!socket.ok()) return socket.status();
      // The kernel has chosen a port: the other workers take the same one.
      if (worker == 0 && address.is_ip()) address = local_address_of(socket->fd());
      listener.sockets[worker].push_back(*std::move(socket));
    }
  }
  return absl::OkStatus();
}

bool ListenerManager::routes_settled(const ListenerConfig& config) const {
  bool all = true;
  auto check = [&](const FilterChainConfig& chain) {
    for (const auto& filter : chain.filters) {
      for (const ResourceRef& ref : filter->route_configs()) all = all && routes_.settled(ref.name);
    }
  };
  for (const FilterChainConfig& chain : config.chains) check(chain);
  if (config.default_chain) check(*config.default_chain);
  return all;
}

bool ListenerManager::secrets_settled(const ListenerConfig& config) const {
  const auto settled = [this](const FilterChainConfig& chain) {
    return secrets_.settled(chain.transport->secrets());
  };
  return std::ranges::all_of(config.chains, settled) &&
         (!config.default_chain || settled(*config.default_chain));
}

void ListenerManager::want_routes() {
  secrets_.refresh();
  std::vector<ResourceRef> wanted;
  auto collect = [&](const FilterChainConfig& chain) {
    for (const auto& filter : chain.filters) {
      for (ResourceRef& ref : filter->route_configs()) wanted.push_back(std::move(ref));
    }
  };
  for (auto* map : {&active_, &warming_}) {
    for (const auto& [name, listener] : *map) {
      for (const FilterChainConfig& chain : listener->config->chains) collect(chain);
      if (listener->config->default_chain) collect(*listener->config->default_chain);
    }
  }
  routes_.set_wanted(wanted);
}

void ListenerManager::settle_warming() {
  for (auto it = warming_.begin(); it != warming_.end();) {
    if (!routes_settled(*it->second->config) || !secrets_settled(*it->second->config)) {
      ++it;
      continue;
    }
    std::string name = it->first;
    std::unique_ptr<ManagedListener> listener = std::move(it->second);
    it = warming_.erase(it);
    bool replaces = active_.count(name) != 0;
    ManagedListener& now_active = *(active_[name] = std::move(listener));
    if (workers_started_) publish(now_active);
    if (replaces) {
      count_draining();
      want_routes();
    }
  }
  update_gauges();
  check_initialized();
}

void ListenerManager::publish(ManagedListener& listener) {
  ListenOptions options = listen_options_of(*listener.config);
  for (auto& sockets : listener.sockets) {
    for (const Socket& socket : sockets) {
      if (absl::Status status = start_listening(socket, options); !status.ok()) {
        LOG_ERROR(config, "listener '{}': {}", listener.config->name,
                  std::string(status.message()));
      }
    }
  }
  publisher_.post_all([&](size_t worker) -> ConfigUpdate {
    SetListener update{listener.config, {}};
    if (worker < listener.sockets.size()) update.sockets = std::move(listener.sockets[worker]);
    return update;
  });
  listener.sockets.clear();
  stats_->add(stats::ListenerManagerMainStat::listener_create_success, publisher_.workers());
}

void ListenerManager::remove(const std::string& name) {
  auto found = active_.find(name);
  if (found != active_.end() && found->second->is_static) return;
  bool known = warming_.erase(name) != 0;
  if (found != active_.end()) {
    if (workers_started_)
      publisher_.post_all([&](size_t) -> ConfigUpdate { return RemoveListener{name}; });
    active_.erase(found);
    count_draining();
    known = true;
  }
  if (known) stats_->inc(stats::ListenerManagerMainStat::listener_removed);
}

void ListenerManager::drain(DrainScope scope, bool stop_accepting) {
  publisher_.post_all([&](size_t) -> ConfigUpdate { return Drain{scope, stop_accepting}; });
  if (!stop_accepting) return;
  for (const auto& [name, listener] : active_) {
    if (scope == DrainScope::InboundOnly &&
        listener->config->direction != TrafficDirection::Inbound)
      continue;
    stats_->inc(stats::ListenerManagerMainStat::listener_stopped);
  }
}

void ListenerManager::count_draining() {
  stats_->inc(stats::ListenerManagerMainStat::total_listeners_draining);
  auto timer = std::make_unique<Timer>(
      loop_.timers(),
      [](void* self) {
        auto& manager = *static_cast<ListenerManager*>(self);
        manager.stats_->dec(stats::ListenerManagerMainStat::total_listeners_draining);
        std::erase_if(manager.draining_, [](const auto& t) { return !t->armed(); });
      },
      this);
  timer->arm(drain_time_ms_);
  draining_.push_back(std::move(timer));
}

void ListenerManager::update_gauges() {
  stats_->set(stats::ListenerManagerMainStat::total_listeners_active, active_.size());
  stats_->set(stats::ListenerManagerMainStat::total_listeners_warming, warming_.size());
}

void ListenerManager::check_initialized() {
  if (!on_initialized_ || !warming_.empty() || (wait_for_lds_ && !lds_answered_)) return;
  auto done = std::move(on_initialized_);
  on_initialized_ = nullptr;
  done();
}

}  // namespace remora::server
