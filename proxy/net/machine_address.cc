#include "proxy/net/machine_address.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>

namespace remora {

Address machine_address(Address::Family family) {
  const bool v6 = family == Address::Family::V6;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) == 0) {
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(all, &::freeifaddrs);
    for (const ifaddrs* entry = all; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
      if (entry->ifa_addr->sa_family != (v6 ? AF_INET6 : AF_INET)) continue;
      const socklen_t length = v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
      const Address address = Address::from_sockaddr(entry->ifa_addr, length);
      if (!address.is_loopback()) return address.with_port(0);
    }
  }
  return *Address::from_ip(v6 ? "::1" : "127.0.0.1", 0);
}

}  // namespace remora
