// What connections go through before their bytes are anybody's: plain, or TLS. Document:
// envoy.config.core.v3.TransportSocket. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string_view>

#include "api/core.pb.h"
#include "proxy/net/transport.h"
#include "xds/translate/context.h"
#include "xds/translate/path.h"

namespace remora::xds::translate {

/// Whose connections: of a listener's filter chain, or of a cluster.
struct TransportUser {
  enum class Side { Downstream, Upstream } side;
  std::string_view stat_prefix;  // of the listener or cluster ("listener.ADDRESS", "cluster.NAME")
  std::string_view scope = {};   // what tells the filter chain from others of its listener
};

/// Plain bytes when nothing is configured.
absl::StatusOr<std::shared_ptr<const TransportFactory>> transport_socket(
    const envoy::config::core::v3::TransportSocket& proto, const TransportUser& user,
    Context& context, const Path& path);

}  // namespace remora::xds::translate
