// Chooses where a subscription goes: the one ADS stream, a gRPC stream of its own, or a watched file. Implemented by
// XdsHub; main thread only.
#pragma once

#include "proxy/net/config_source.h"
#include "xds/subscription.h"

namespace remora::server {

class XdsSources {
 public:
  /// The source that `source` names, made on first use; lives as long as the server.
  virtual xds::SubscriptionSource& of(const ConfigSource& source) = 0;

 protected:
  ~XdsSources() = default;
};

}  // namespace remora::server
