// The `server.*` metrics. Values that only matter when somebody looks are computed at scrape. Main
// thread only.
#pragma once

#include <functional>
#include <memory>

#include "proxy/net/listener_environment.h"
#include "proxy/server/lifecycle.h"
#include "proxy/stats/schemas.h"
#include "proxy/stats/store.h"

namespace remora::server {

class ServerStats {
 public:
  /// All references outlive the object.
  ServerStats(stats::Store& store, const Lifecycle& lifecycle, const ConnectionLimit& connections);

  void on_initialized(uint64_t took_ms);
  void count_unknown(bool dynamic);

 private:
  void refresh();

  const Lifecycle& lifecycle_;
  const ConnectionLimit& connections_;
  uint32_t main_index_;
  std::shared_ptr<stats::Group<stats::ServerSchema>> group_;
  std::shared_ptr<stats::Group<stats::RuntimeSchema>> runtime_;
  std::shared_ptr<void> before_scrape_;
};

}  // namespace remora::server
