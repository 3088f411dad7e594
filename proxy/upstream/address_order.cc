#include "proxy/upstream/address_order.h"

namespace remora::upstream {

std::vector<Address> addresses_in_order(const EndpointConfig& endpoint, const AddressOrder& order) {
  const Address::Family family =
      order.first == Address::Family::None ? endpoint.address.family() : order.first;
  std::vector<Address> first;
  std::vector<Address> others;
  const auto sort_in = [&](const Address& address) {
    (address.family() == family ? first : others).push_back(address);
  };
  sort_in(endpoint.address);
  for (const Address& address : endpoint.extras->more_addresses) sort_in(address);

  std::vector<Address> out;
  auto next = first.begin();
  auto other = others.begin();
  while (next != first.end() || other != others.end()) {
    for (uint32_t i = 0; i < order.first_count && next != first.end(); ++i) out.push_back(*next++);
    if (other != others.end()) out.push_back(*other++);
  }
  return out;
}

}  // namespace remora::upstream
