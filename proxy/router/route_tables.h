// A worker's route tables by the name that RDS knows them by. Connection managers look a table up
// per request and streams pin what they got. Owned by the Worker; that thread only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/base/snapshot.h"
#include "proxy/base/string_map.h"
#include "proxy/router/route_table.h"

namespace remora::router {

class RouteTables {
 public:
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

 private:
  StringMap<std::unique_ptr<Slot>> slots_;
};

}  // namespace remora::router
