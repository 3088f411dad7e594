#include "proxy/server/trust_check.h"

#include "proxy/tls/transport_factory.h"
#include "proxy/upstream/cluster.h"

namespace remora::server {

TrustCheck::TrustCheck(WorkerContext& worker, upstream::ClusterMap& clusters,
                       ListenerSet* listeners)
    : worker_(worker),
      clusters_(clusters),
      listeners_(listeners),
      timer_(worker.timers(), Timer::bind<&TrustCheck::on_grace_over, TrustCheck>(), this) {}

void TrustCheck::start() {
  const auto refused = [this](const Transport& transport) {
    return transport.secure() && !tls::still_trusted(transport, worker_.index());
  };
  clusters_.for_each_with_retired([&](upstream::Cluster& cluster) {
    cluster.end_connections(refused, upstream::Ending::Politely);
  });
  if (listeners_ != nullptr) listeners_->end_connections(refused, Listener::Ending::Politely);
  // A change during the grace of another does not lengthen it: this closes what both of them
  // refuse.
  if (!timer_.armed()) timer_.arm(kGraceMs);
  last_change_ms_ = worker_.loop().now_ms();
}

void TrustCheck::on_grace_over() {
  // A handshake that began under the rules of before may have ended since.
  const auto refused = [this](const Transport& transport) {
    return transport.secure() && !tls::still_trusted(transport, worker_.index());
  };
  clusters_.for_each_with_retired([&](upstream::Cluster& cluster) {
    cluster.end_connections(refused, upstream::Ending::AtOnce);
  });
  if (listeners_ != nullptr) listeners_->end_connections(refused, Listener::Ending::AtOnce);
  const MonotonicMs due = last_change_ms_ + kGraceMs;
  const MonotonicMs now = worker_.loop().now_ms();
  if (due > now) timer_.arm(due - now);
}

}  // namespace remora::server
