// The closed set of messages by which the main thread changes a worker. Everything in them is
// immutable and shared by pointer, except sockets, which move to their worker.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "proxy/net/listener_config.h"
#include "proxy/net/socket.h"
#include "proxy/router/route_table.h"
#include "proxy/tls/transport_factory.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/cluster_shared.h"
#include "proxy/upstream/dns_cache.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/remote_keys.h"

namespace remora::server {

struct SetCluster {
  std::shared_ptr<const upstream::ClusterConfig> config;
  std::shared_ptr<upstream::ClusterShared> shared;
  std::shared_ptr<const upstream::HostSet> hosts;
};
struct SetHosts {
  std::string cluster;
  std::shared_ptr<const upstream::HostSet> hosts;
};
struct RemoveCluster {
  std::string name;
};
struct SetRoutes {
  std::shared_ptr<const router::RouteTable> table;
};
struct RemoveRoutes {
  std::string name;
};
/// A new listener, or a new configuration of one of the same name. `sockets`: this worker's
/// listening sockets, one per address; empty when the listener does not bind or keeps the sockets
/// it has.
struct SetListener {
  std::shared_ptr<const ListenerConfig> config;
  std::vector<Socket> sockets;
};
/// Stops accepting at once; connections drain.
struct RemoveListener {
  std::string name;
};
enum class DrainScope : uint8_t { All, InboundOnly };
/// Tells connections to finish politely; listeners go on accepting unless `stop_accepting`.
struct Drain {
  DrainScope scope = DrainScope::All;
  bool stop_accepting = false;
};
/// A context for TLS connections to come; null: none are let in.
struct SetTlsContext {
  std::shared_ptr<tls::ContextSlots> slots;
  tls::ContextPtr context;
  /// Whom to trust may have changed: those who are connected prove themselves again.
  bool verify_again = false;
};
/// Keys were fetched, or (null) could not be.
struct DeliverKeys {
  std::shared_ptr<upstream::RemoteKeys> keys;
  std::shared_ptr<const tls::KeySet> set;
  MonotonicMs valid_until = 0;
};
/// A name was looked up; null: there is no room for it.
struct DeliverName {
  std::shared_ptr<upstream::DnsCache> cache;
  std::string key;
  upstream::ResolvedNamePtr name;
};
struct ForgetName {
  std::shared_ptr<upstream::DnsCache> cache;
  std::string key;
};
/// Closes what is left and ends the thread.
struct Shutdown {};

using ConfigUpdate = std::variant<SetCluster, SetHosts, RemoveCluster, SetRoutes, RemoveRoutes,
                                  SetListener, RemoveListener, SetTlsContext, Drain, DeliverKeys,
                                  DeliverName, ForgetName, Shutdown>;

}  // namespace remora::server
