// A schema names the metrics of one kind of thing (a cluster, a listener, a filter) at compile
// time. REMORA_STATS_SCHEMA makes the enums that callers use and the table that the scrape reads. A
// filter defines its own beside its code:
//
//   #define REMORA_RBAC_STATS(X) X(Counter, allowed) X(Counter, denied)
//   REMORA_STATS_SCHEMA(Rbac, REMORA_RBAC_STATS, REMORA_NO_STATS, REMORA_NO_STATS)
//
//   auto group = store.group<RbacSchema>("http.ingress.rbac");      // main thread
//   group->at(worker.index()).inc(RbacStat::allowed);               // keep the slab at() gives
//
// An entry is X(kind, identifier) or X(kind, identifier, "name.with.dots"). Gauges come before
// counters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace remora::stats {

enum class Kind : uint8_t {
  Gauge,
  Counter,
  Histogram,
  Text,
  // Shown only once written or recorded.
  OptionalGauge,
  OptionalCounter,
  OptionalHistogram,
};

struct StatDef {
  Kind kind;
  std::string_view name;
};

/// A schema with its types erased, for the scrape.
struct SchemaInfo {
  std::string_view name;
  std::span<const StatDef> stats;       // written by workers
  std::span<const StatDef> main_stats;  // written by the main thread only
  std::span<const StatDef> histograms;
  size_t gauges = 0;  // the first ones of `stats`
  std::span<const std::string_view>
      response_scopes;      // "upstream_rq": upstream_rq_200, upstream_rq_2xx
  uint64_t per_worker = 0;  // bits of `stats` that are also shown per worker
};

namespace schema_internal {

constexpr std::string_view pick(std::string_view name) { return name; }
constexpr std::string_view pick(std::string_view, std::string_view name) { return name; }
constexpr bool is_gauge(Kind kind) { return kind == Kind::Gauge || kind == Kind::OptionalGauge; }

constexpr size_t count_gauges(std::span<const StatDef> stats) {
  size_t n = 0;
  for (const StatDef& def : stats) n += is_gauge(def.kind);
  return n;
}
constexpr bool gauges_come_first(std::span<const StatDef> stats) {
  size_t n = count_gauges(stats);
  for (size_t i = 0; i < stats.size(); ++i) {
    if (is_gauge(stats[i].kind) != (i < n)) return false;
  }
  return true;
}

}  // namespace schema_internal

#define REMORA_NO_STATS(X)
#define REMORA_STAT_ENUM(kind, id, ...) id,
#define REMORA_STAT_DEF(kind, id, ...)                                                          \
  ::remora::stats::StatDef{::remora::stats::Kind::kind, ::remora::stats::schema_internal::pick( \
                                                            #id __VA_OPT__(, ) __VA_ARGS__)},
#define REMORA_STAT_ONE(kind, id, ...) +1

/// Defines enum classes NAMEStat, NAMEMainStat and NAMEHistogram (each ends with kCount) and struct
/// NAMESchema. Further arguments are members of the schema that replace a default of
/// SchemaDefaults.
#define REMORA_STATS_SCHEMA(NAME, STATS, MAIN_STATS, HISTOGRAMS, ...)                            \
  enum class NAME##Stat : uint16_t{STATS(REMORA_STAT_ENUM) kCount};                              \
  enum class NAME##MainStat : uint16_t{MAIN_STATS(REMORA_STAT_ENUM) kCount};                     \
  enum class NAME##Histogram : uint16_t{HISTOGRAMS(REMORA_STAT_ENUM) kCount};                    \
  struct NAME##Schema : ::remora::stats::SchemaDefaults {                                        \
    using Stat = NAME##Stat;                                                                     \
    using MainStat = NAME##MainStat;                                                             \
    using Histogram = NAME##Histogram;                                                           \
    static constexpr ::remora::stats::StatDef kStats[static_cast<size_t>(Stat::kCount) + 1] = {  \
        STATS(REMORA_STAT_DEF)};                                                                 \
    static constexpr ::remora::stats::StatDef                                                    \
        kMainStats[static_cast<size_t>(MainStat::kCount) + 1] = {MAIN_STATS(REMORA_STAT_DEF)};   \
    static constexpr ::remora::stats::StatDef                                                    \
        kHistograms[static_cast<size_t>(Histogram::kCount) + 1] = {HISTOGRAMS(REMORA_STAT_DEF)}; \
    static constexpr std::string_view kName = #NAME;                                             \
    __VA_ARGS__                                                                                  \
  };

/// What a schema may replace.
struct SchemaDefaults {
  /// Families counted by response code; the enum's order is the array's.
  enum class Scope : uint8_t { kCount };
  static constexpr std::span<const std::string_view> kScopes = {};
  static constexpr uint64_t kPerWorker = 0;
};

template <class Schema>
constexpr std::span<const StatDef> stats_of() {
  return std::span(Schema::kStats).first(static_cast<size_t>(Schema::Stat::kCount));
}

template <class Schema>
inline constexpr SchemaInfo kSchemaInfo = {
    Schema::kName,
    stats_of<Schema>(),
    std::span(Schema::kMainStats).first(static_cast<size_t>(Schema::MainStat::kCount)),
    std::span(Schema::kHistograms).first(static_cast<size_t>(Schema::Histogram::kCount)),
    schema_internal::count_gauges(stats_of<Schema>()),
    Schema::kScopes,
    Schema::kPerWorker,
};

}  // namespace remora::stats
