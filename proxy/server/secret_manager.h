// Every secret of the process and every TLS context that is made of them: secrets of the bootstrap
// and of discovery, the files that they name, and what changes tell the workers. Owned by the
// Server; main thread only. Documents: "Secret discovery service",
// envoy.extensions.transport_sockets.tls.v3.
#pragma once

#include <absl/status/status.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/tls.pb.h"
#include "proxy/base/clock.h"
#include "proxy/server/publisher.h"
#include "proxy/server/trust_check.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"
#include "proxy/tls/transport_factory.h"
#include "xds/config_sources.h"
#include "xds/translate/context.h"
#include "xds/translate/tls_context.h"

namespace remora::server {

/// What is known of a secret, for /config_dump.
struct SecretEntry {
  std::string name;
  std::string version;
  WallNs updated_at = 0;
  envoy::extensions::transport_sockets::tls::v3::Secret
      proto;  // what it hides is replaced by "[redacted]"
  bool is_static = false;
  bool arrived = false;
};

class SecretManager final : public xds::translate::TlsRegistry {
 public:
  SecretManager(Publisher& publisher, WorkerContext& main, TrustCheck& main_check,
                stats::Store& stats, xds::translate::Context& context, xds::ConfigSources& sources);
  ~SecretManager();

  /// A secret of the bootstrap.
  absl::Status add_static(const envoy::extensions::transport_sockets::tls::v3::Secret& proto,
                          xds::translate::Context& context);

  // xds::translate::TlsRegistry
  const xds::translate::Secret* static_secret(xds::translate::SecretKind kind,
                                              std::string_view name) const override;
  absl::StatusOr<std::shared_ptr<const TransportFactory>> factory_for(
      xds::translate::TlsPlan plan) override;

  /// From here on subscriptions are made: the clusters that secrets come from are there.
  void start();
  /// Subscribes to what contexts in use need and gives up what none needs any more.
  void refresh();
  /// Each of them has come, or time was up.
  bool settled(const std::vector<ResourceRef>& secrets) const;
  /// Called from the loop whenever one settles.
  void add_on_settled(std::function<void()> callback) {
    on_settled_.push_back(std::move(callback));
  }

  /// Static ones, then those of discovery.
  std::vector<SecretEntry> entries() const;
  /// What every context in use is made of, for /certs.
  std::vector<const tls::ContextReport*> reports() const;

 private:
  class Watch;
  struct User;

  Watch* find_watch(const xds::translate::SecretRef& ref) const;
  absl::Status adopt(const xds::translate::SecretRef& ref, const xds::translate::Secret& secret);
  void give(User& user, tls::ContextPtr context, bool verify_again);
  void count_expiry(User& user);
  void forget_unused();
  void tell_settled();
  void refresh_expiry_gauge();

  Publisher& publisher_;
  WorkerContext& main_;
  TrustCheck& main_check_;
  stats::Store& stats_;
  xds::translate::Context& context_;
  xds::ConfigSources& sources_;
  std::map<std::string, std::pair<xds::translate::Secret, SecretEntry>> static_;
  std::vector<std::unique_ptr<User>> users_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::vector<std::function<void()>> on_settled_;
  std::shared_ptr<stats::Group<stats::ServerSchema>> server_stats_;
  std::shared_ptr<void> before_scrape_;
  bool started_ = false;
};

}  // namespace remora::server
