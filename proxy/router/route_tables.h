// A worker's route tables by the name that RDS knows them by, and what goes on of requests that are
// over. Connection managers look a table up per request and streams pin what they got. Owned by the
// Worker; that thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/snapshot.h"
#include "proxy/base/string_map.h"
#include "proxy/event/event_loop.h"
#include "proxy/router/route_table.h"

namespace remora::router {

/// Something that a request began and that may outlive it, as requests to mirrors do. Deletes
/// itself when it is over.
class Background : public Deferrable, public ListLink {
 public:
  /// Lets go of clusters and connections, now.
  virtual void end() = 0;
};

class RouteTables {
 public:
  RouteTables() = default;
  ~RouteTables() {
    while (!background_.empty()) delete &background_.front();
  }
  RouteTables(const RouteTables&) = delete;
  RouteTables& operator=(const RouteTables&) = delete;

  /// A slot lives as long as the RouteTables, whatever comes and goes: connection managers keep a
  /// reference, so that a request costs no look-up by name.
  struct Slot {
    Snapshot<RouteTable> table;  // null: not there (404 NR)
  };

  Slot& slot(std::string_view name) {
    auto at = slots_.find(name);
    if (at == slots_.end()) at = slots_.emplace(std::string(name), std::make_unique<Slot>()).first;
    return *at->second;
  }

  void update(std::shared_ptr<const RouteTable> table) {
    Slot& at = slot(table->name());
    at.table = Snapshot<RouteTable>(std::move(table));
  }
  void remove(std::string_view name) { slot(name).table = {}; }

  void keep(Background& background) { background_.push_back(background); }
  /// Before the clusters go.
  void end_background() {
    background_.for_each([](Background& background) { background.end(); });
  }

 private:
  IntrusiveList<Background> background_;
  StringMap<std::unique_ptr<Slot>> slots_;
};

}  // namespace remora::router
