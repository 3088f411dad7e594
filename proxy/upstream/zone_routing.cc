// Integer arithmetic and its rounding are Envoy's: the same hosts get the same parts.
#include "proxy/upstream/zone_routing.h"

#include <algorithm>

namespace remora::upstream {
namespace {

constexpr uint64_t kAll = 10'000;

size_t inhabited(const PriorityHosts& hosts) {
  return static_cast<size_t>(std::ranges::count_if(
      hosts.localities, [](const LocalityHosts& locality) { return !locality.hosts.empty(); }));
}

const LocalityHosts* find(const PriorityHosts& hosts, const Locality& where) {
  const auto found = std::ranges::find(hosts.localities, where, &LocalityHosts::locality);
  return found == hosts.localities.end() ? nullptr : &*found;
}

size_t healthy_total(const PriorityHosts& hosts) {
  size_t sum = 0;
  for (const LocalityHosts& locality : hosts.localities) sum += locality.healthy.size();
  return sum;
}

/// Of 10,000 healthy hosts of `all`, as many as `part` has.
uint64_t share_of(const LocalityHosts* part, size_t all) {
  return part == nullptr || all == 0 ? 0 : kAll * part->healthy.size() / all;
}

ZoneRouting::Mode why_not(const PriorityHosts& upstream, const PriorityHosts& own,
                          const Locality& here, uint64_t min_cluster_size) {
  if (inhabited(upstream) < 2 || inhabited(own) < 2) return ZoneRouting::Mode::Off;
  const LocalityHosts* beside = find(own, here);
  if (beside == nullptr || beside->hosts.empty()) return ZoneRouting::Mode::OffLocalUnknown;
  if (upstream.healthy.size() < min_cluster_size) return ZoneRouting::Mode::OffTooSmall;
  return ZoneRouting::Mode::Spread;
}

}  // namespace

ZoneRouting compute_zone_routing(const PriorityHosts& upstream, const PriorityHosts& own,
                                 const Locality& here, uint64_t min_cluster_size) {
  ZoneRouting out;
  out.mode = why_not(upstream, own, here, min_cluster_size);
  if (!out.on()) return out;
  const size_t of_upstream = healthy_total(upstream);
  const size_t of_own = healthy_total(own);
  uint64_t room = 0;
  for (uint32_t i = 0; i < upstream.localities.size(); ++i) {
    const LocalityHosts& locality = upstream.localities[i];
    const uint64_t offered = share_of(&locality, of_upstream);
    const uint64_t wanted =
        locality.healthy.empty() ? 0 : share_of(find(own, locality.locality), of_own);
    if (locality.locality == here) {
      out.here = i;
      if (offered > 0 && offered >= wanted) {
        out.mode = ZoneRouting::Mode::AllLocal;
        return out;
      }
      if (wanted > 0) out.local = offered * kAll / wanted;
    } else if (offered > wanted) {
      room += offered - wanted;
    }
    out.residual.push_back(room);
  }
  return out;
}

}  // namespace remora::upstream
