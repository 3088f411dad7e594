// See the header. The worker's thread.
#include "filters/listener/original_dst/original_dst.h"

#include "proxy/net/socket.h"

namespace remora::filters {

void restore_destination(const KernelDestination& kernel, ConnectionFacts& facts) {
  if (kernel.redirected_from) {
    facts.local = kernel.redirected_from;
    facts.local_restored = true;
  } else if (kernel.transparent) {
    facts.local_restored = true;
  }
}

ListenerFilter::Status OriginalDst::on_accept(ListenerFilterContext& context) {
  ConnectionFacts& facts = context.facts();
  if (!facts.direct_local.is_ip()) return Status::Done;
  KernelDestination kernel;
  kernel.redirected_from = original_destination_of(context.fd(), facts.direct_local);
  if (!kernel.redirected_from) kernel.transparent = is_transparent(context.fd());
  restore_destination(kernel, facts);
  return Status::Done;
}

}  // namespace remora::filters
