// The address by which other machines know this one. Off the data path; any thread.
#pragma once

#include "proxy/net/address.h"

namespace remora {

/// The first address of `family` (V4 or V6) on an interface that is up and no loopback; without
/// port. Falls back to the loopback address.
Address machine_address(Address::Family family);

}  // namespace remora
