// Finds where a redirected connection was going before iptables brought it here. Its factory is
// shared by workers; a filter belongs to one accepted socket. Document:
// envoy.extensions.filters.listener.original_dst.v3.OriginalDst.
#pragma once

#include <memory>

#include "proxy/net/filter.h"

namespace remora::filters {

/// What the kernel knows of a connection's destination.
struct KernelDestination {
  Address redirected_from;   // REDIRECT or DNAT: the destination before; none when there was none
  bool transparent = false;  // TPROXY: the socket's local address is the destination
};

/// Writes the original destination into `facts`. A connection made straight to the listener is left
/// as it is: its own filter chains serve it, and an ORIGINAL_DST cluster finds no destination.
void restore_destination(const KernelDestination& kernel, ConnectionFacts& facts);

class OriginalDst final : public ListenerFilter {
 public:
  Status on_accept(ListenerFilterContext& context) override;
};

class OriginalDstFactory final : public ListenerFilterFactory {
 public:
  std::unique_ptr<ListenerFilter> make() const override { return std::make_unique<OriginalDst>(); }
};

}  // namespace remora::filters
