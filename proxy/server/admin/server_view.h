// /server_info, /memory, /logging and /runtime: the process itself. Main thread only.
#pragma once

#include "api/core.pb.h"
#include "proxy/server/admin/admin.h"
#include "proxy/server/lifecycle.h"
#include "proxy/server/options.h"
#include "xds/translate/runtime.h"

namespace remora::server {

AdminResponse server_info(const Options& options, const Lifecycle& lifecycle, uint32_t concurrency,
                          const envoy::config::core::v3::Node& node);
AdminResponse memory_view();
/// POST /logging: no parameter shows levels, ?level= sets all, ?paths=name:level,... or ?NAME=LEVEL
/// sets some.
AdminResponse logging(const AdminRequest& request);
AdminResponse runtime_view(const xds::translate::Runtime& runtime);

/// Bytes the process has: resident now, and what malloc has handed out and holds.
struct MemoryUse {
  uint64_t physical = 0, allocated = 0, heap = 0;
};
MemoryUse memory_use();

}  // namespace remora::server
