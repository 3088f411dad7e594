// Resources from a file that holds a DiscoveryResponse (YAML, JSON, or binary by the suffix .pb),
// read again each time it is replaced. Main thread.
#pragma once

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "api/discovery.pb.h"
#include "proxy/event/event_loop.h"
#include "proxy/net/config_source.h"
#include "xds/directory_watch.h"
#include "xds/subscription.h"
#include "xds/watched_type.h"

namespace remora::xds {

/// The message in a file, with a status that says what is wrong with it.
absl::StatusOr<envoy::service::discovery::v3::DiscoveryResponse> read_discovery_response(
    const std::string& path);

/// Serves one file. A file that is not there yet is waited for.
class FileSource final : public Deferrable, public SubscriptionSource, private WatchedTypeOwner {
 public:
  /// `source` is of kind Path.
  FileSource(EventLoop& loop, const ConfigSource& source, std::string_view type_url);

  /// Of the type given to the constructor. The first reading comes from the loop.
  std::unique_ptr<Subscription> subscribe(const SubscribeOptions& options,
                                          ResourceConsumer& consumer) override;

 private:
  void on_interest_changed() override { reading_.arm(0); }
  void read();

  const std::string path_;
  const std::string directory_;
  const std::string file_name_;  // what must be replaced in it; empty: anything
  WatchedType type_;
  Timer reading_;
  const DirectoryWatch watch_;
};

}  // namespace remora::xds
