// Makes TLS transports with whatever context is current. Secrets rotate: each thread has its own
// slot with the current context, set by a message from the main thread, so that no connection waits
// for a lock. CONTRACT (additive).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/net/connection.h"
#include "proxy/net/transport.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/tls/context.h"
#include "proxy/tls/settings.h"

namespace remora::tls {

/// The current context of one listener filter chain or cluster, a copy per thread. Shared by its
/// factory and the main thread's secret manager.
class ContextSlots {
 public:
  explicit ContextSlots(uint32_t threads) : slots_(threads) {}
  /// Thread `thread` only, or the main thread before any other has seen the slots. Null: secrets
  /// have not come, or were taken back; new connections are refused.
  void set(uint32_t thread, ContextPtr context) { slots_[thread].context = std::move(context); }
  const ContextPtr& at(uint32_t thread) const { return slots_[thread].context; }
  uint32_t threads() const { return static_cast<uint32_t>(slots_.size()); }

 private:
  struct alignas(64) Slot {
    ContextPtr context;
  };
  std::vector<Slot> slots_;
};

using TlsStats = stats::Group<stats::TlsSchema>;  // "listener.ADDRESS.ssl", "cluster.NAME.ssl"
using TlsFactoryStats = stats::Group<stats::TlsFactorySchema>;

class Factory : public TransportFactory {
 public:
  bool secure() const final { return true; }
  const std::shared_ptr<ContextSlots>& slots() const { return slots_; }
  std::vector<ResourceRef> secrets() const final { return secrets_; }

 protected:
  Factory(std::shared_ptr<ContextSlots> slots, std::shared_ptr<TlsStats> stats,
          std::vector<ResourceRef> secrets)
      : slots_(std::move(slots)), stats_(std::move(stats)), secrets_(std::move(secrets)) {}

  const std::shared_ptr<ContextSlots> slots_;
  const std::shared_ptr<TlsStats> stats_;
  const std::vector<ResourceRef> secrets_;
};

/// `secrets`: what SDS has to bring (for warming); empty when everything was inline.
std::shared_ptr<const Factory> server_factory(ServerSettings settings,
                                              std::shared_ptr<ContextSlots> slots,
                                              std::shared_ptr<TlsStats> stats,
                                              std::vector<ResourceRef> secrets = {});
/// Keeps up to max_session_keys sessions per thread and server name, for resumption.
std::shared_ptr<const Factory> client_factory(ClientSettings settings,
                                              std::shared_ptr<ContextSlots> slots,
                                              std::shared_ptr<TlsStats> stats,
                                              std::vector<ResourceRef> secrets = {});

/// Whether the peer of `transport` (one that a Factory made) would still be let in under the
/// context that its factory now has in the slot of `thread`: chain, names, revocation. True for one
/// that a Factory did not make.
bool still_trusted(const Transport& transport, uint32_t thread);

}  // namespace remora::tls
