// What a worker counts of the gRPC calls to a cluster, by method:
// "cluster.NAME.grpc.SERVICE.METHOD", or "grpc-web" for those that came so, as Envoy names it.
// Methods are named by clients, so there is an end to how many get counts of their own. Owned by
// the worker's half of the cluster; its worker's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/base/string_map.h"
#include "proxy/http/grpc.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schema.h"

namespace remora::stats {
class Store;
}

namespace remora::upstream {

// clang-format off
#define REMORA_GRPC_CALL_STATS(X) \
  X(OptionalCounter, status_0, "0") X(OptionalCounter, status_1, "1") \
  X(OptionalCounter, status_2, "2") X(OptionalCounter, status_3, "3") \
  X(OptionalCounter, status_4, "4") X(OptionalCounter, status_5, "5") \
  X(OptionalCounter, status_6, "6") X(OptionalCounter, status_7, "7") \
  X(OptionalCounter, status_8, "8") X(OptionalCounter, status_9, "9") \
  X(OptionalCounter, status_10, "10") X(OptionalCounter, status_11, "11") \
  X(OptionalCounter, status_12, "12") X(OptionalCounter, status_13, "13") \
  X(OptionalCounter, status_14, "14") X(OptionalCounter, status_15, "15") \
  X(OptionalCounter, status_16, "16") X(OptionalCounter, success) \
  X(OptionalCounter, failure) X(OptionalCounter, total) \
  X(OptionalCounter, request_message_count) X(OptionalCounter, response_message_count) \
  X(OptionalCounter, calls_over_method_limit)
// clang-format on
#define REMORA_GRPC_CALL_HISTOGRAMS(X) X(OptionalHistogram, upstream_rq_time)
REMORA_STATS_SCHEMA(GrpcCall, REMORA_GRPC_CALL_STATS, REMORA_NO_STATS, REMORA_GRPC_CALL_HISTOGRAMS)

enum class GrpcKind : uint8_t { Grpc, GrpcWeb };

class GrpcCalls {
 public:
  using Counts = stats::Slab<GrpcCallSchema>;

  /// `cluster`: the cluster's metrics, which keep those of its methods alive.
  GrpcCalls(GrpcKind kind, stats::Store& store, stats::GroupBase& cluster, uint32_t worker)
      : kind_(kind), store_(store), cluster_(cluster), worker_(worker) {}

  /// Of calls that are not told apart.
  Counts& unnamed();
  /// Of the method `name` ("package.Service.Method"). unnamed() when it is no name or one too many.
  Counts& named(std::string_view name);

 private:
  Counts* make(std::string_view name);

  std::string prefix() const;

  const GrpcKind kind_;
  stats::Store& store_;
  stats::GroupBase& cluster_;
  const uint32_t worker_;
  Counts* unnamed_ = nullptr;
  StringMap<Counts*> by_name_;
  bool full_ = false;
};

enum class Dots : uint8_t { Keep, Replace };

/// The method that a request's path calls, as the metrics name it ("package.Service.Method"), in
/// `arena`; empty: none. `of_service`: whether "package.Service" becomes "package_Service".
std::string_view grpc_method_name(std::string_view path, Dots of_service, Arena& arena);

/// Counts a call that ended with `grpc_status`, as it was written.
void count_status(std::string_view grpc_status, GrpcCalls::Counts& counts);

}  // namespace remora::upstream
