// A route configuration as compiled from xDS: immutable, shared by the workers; and the decision it
// gives for a request, a pure function of (table, request headers, facts) with its reason.
// Document: envoy.config.route.v3.RouteConfiguration.
// CONTRACT (additive).
#pragma once

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proxy/base/rare.h"
#include "proxy/base/string_map.h"
#include "proxy/base/string_match.h"
#include "proxy/http/header_map.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/router/hash_policy.h"

namespace re2 {
class RE2;
}
namespace remora::http {
struct StreamInfo;
}
namespace remora::stats {
template <class Schema>
class Group;
struct RouteSchema;
}  // namespace remora::stats
namespace remora::telemetry {
class LogFormat;
}

namespace remora::upstream {
class MetadataCriteria;
}

namespace remora::router {

struct ContextMatch;  // context_match.h
struct RouteExtras;   // route_extras.h

// ------------------------------------------------------------------------------------------------
// matching
using remora::StringMatch;

struct HeaderMatch {
  enum class Kind : uint8_t { Present, String, Range };
  std::string name;  // lower case
  http::HeaderId id = http::HeaderId::Other;
  Kind kind = Kind::Present;
  StringMatch string;
  int64_t range_start = 0, range_end = 0;  // [start, end)
  bool present = true;                     // present_match: true/false
  bool invert = false;
  bool treat_missing_as_empty = false;
  bool joined = false;  // several values are one, with commas between them
  bool matches(const http::HeaderMap& headers) const;

 private:
  bool value_matches(std::string_view value) const;
};

struct QueryMatch {
  std::string name;
  std::optional<StringMatch> string;  // none: there or not
  bool present = true;
};

struct RouteMatch {
  enum class Kind : uint8_t { Prefix, Path, PathSeparatedPrefix, Regex, Connect };
  Kind kind = Kind::Prefix;
  std::string path;
  bool case_sensitive = true;
  std::shared_ptr<const re2::RE2> regex;
  std::vector<HeaderMatch> headers;
  std::vector<QueryMatch> query;
  bool grpc_only = false;
  std::optional<uint32_t> fraction_per_million;  // runtime_fraction
  bool ignore_path_parameters = false;           // what follows ';' in the path
  std::shared_ptr<const ContextMatch> context;   // null: no such conditions
};

// ------------------------------------------------------------------------------------------------
// actions
struct HeaderEdit {
  enum class Action : uint8_t { AppendOrAdd, AddIfAbsent, OverwriteOrAdd, OverwriteIfExists };
  std::string name;
  http::HeaderId id = http::HeaderId::Other;
  std::string value;
  std::shared_ptr<const telemetry::LogFormat> format;  // in place of `value`, when it has commands
  Action action = Action::AppendOrAdd;
  bool keep_empty = false;
  bool joins = false;  // is added to a value that is there, behind a comma
};
struct HeaderEdits {
  std::vector<HeaderEdit> add;
  std::vector<std::string> remove;
  bool empty() const { return add.empty() && remove.empty(); }
};

struct RetryExtras;  // retry_extras.h

struct RetryPolicy {
  enum On : uint32_t {
    k5xx = 1,
    kGatewayError = 2,
    kReset = 4,
    kConnectFailure = 8,
    kRetriable4xx = 16,
    kRefusedStream = 32,
    kRetriableStatusCodes = 64,
    kRetriableHeaders = 128,
    kEnvoyRatelimited = 256,
    kResetBeforeRequest = 512,
    kGrpcCancelled = 1 << 10,
    kGrpcDeadlineExceeded = 1 << 11,
    kGrpcInternal = 1 << 12,
    kGrpcResourceExhausted = 1 << 13,
    kGrpcUnavailable = 1 << 14,
  };
  uint32_t on = 0;
  uint32_t num_retries = 1;
  uint64_t per_try_timeout_ms = 0;  // 0: none
  uint64_t back_off_base_ms = 25;
  uint64_t back_off_max_ms = 250;
  std::vector<uint16_t> retriable_status_codes;
  bool previous_hosts = false;  // retry_host_predicate previous_hosts
  uint32_t host_selection_max_attempts = 1;
  std::shared_ptr<const RetryExtras> extras;  // what few policies have; null: nothing of it
};

/// What an HTTP filter made of an entry of typed_per_filter_config. The message's type, in static
/// memory, tells what kind of filter it is for.
struct FilterOverride {
  std::string_view type;
  std::shared_ptr<const void> config;
};
using FilterOverrides = StringMap<FilterOverride>;  // by filter name

struct WeightedCluster {
  std::string name;            // empty when by header
  std::string cluster_header;  // lower case
  std::string host_rewrite_literal;
  uint32_t weight = 0;
  HeaderEdits request_edits, response_edits;
  FilterOverrides filter_configs;
  /// With what the route asks besides; null: nothing.
  std::shared_ptr<const upstream::MetadataCriteria> metadata_match;
};

/// Whether requests may change to a protocol.
struct UpgradeSetting {
  std::string type;  // however it is written; kConnect of upgrade.h for tunnels
  bool enabled = true;
};

/// Tunnels end here: their bytes go to the cluster as they are.
struct ConnectConfig {
  bool allow_post = false;  // bodies of POST requests too
  std::optional<ProxyProtocolSettings> proxy_protocol;
};

/// How much of a request's grpc-timeout counts.
struct GrpcTimeout {
  std::optional<uint64_t> max_ms;  // none: it does not count; 0: all of it
  uint64_t offset_ms = 0;          // less this
};

/// What becomes of a request's path and host.
struct Rewrites {
  std::string prefix_rewrite;
  bool has_prefix_rewrite = false;
  std::shared_ptr<const re2::RE2> regex_rewrite;
  std::string regex_substitution;
  std::shared_ptr<const telemetry::LogFormat> path_rewrite;  // null: none
  std::string host_rewrite_literal;
  std::string host_rewrite_header;
  std::shared_ptr<const re2::RE2> host_rewrite_regex;  // of the path
  std::string host_rewrite_substitution;
  std::shared_ptr<const telemetry::LogFormat> host_rewrite;  // null: none
  bool operator==(const Rewrites&) const = default;
};

struct ClusterAction {
  std::string cluster;         // empty when weighted or by header
  std::string cluster_header;  // lower case
  std::vector<WeightedCluster> weighted;
  uint64_t total_weight = 0;
  std::string weight_header;    // lower case: names the number that chooses among `weighted`
  bool weighs_by_hash = false;  // the request's hash is that number
  std::shared_ptr<const upstream::MetadataCriteria> metadata_match;  // null: any host will do
  uint16_t cluster_not_found_status = 503;
  uint64_t timeout_ms = 15000;  // 0: none
  std::optional<uint64_t> idle_timeout_ms;
  GrpcTimeout max_grpc_timeout;  // in place of timeout_ms
  // max_stream_duration is there: timeout_ms and max_grpc_timeout do not count.
  bool bounds_streams = false;
  std::optional<uint64_t> max_stream_duration_ms;  // 0: no bound
  GrpcTimeout grpc_timeout_header;                 // in place of max_stream_duration_ms
  Rare<Rewrites> rewrites;
  bool auto_host_rewrite = false;
  bool append_x_forwarded_host = false;
  bool high_priority = false;
  std::optional<RetryPolicy> retry;
  std::optional<bool> hedges;  // an attempt that is late goes on beside the next one
  std::vector<HashPolicy> hash_policies;
  std::vector<UpgradeSetting> upgrades;          // instead of the connection manager's
  std::shared_ptr<const ConnectConfig> connect;  // null: tunnels are passed on
};
struct RedirectAction {
  std::string host, path, prefix_rewrite;
  bool has_path = false, has_prefix_rewrite = false, https = false, strip_query = false;
  std::shared_ptr<const re2::RE2> regex_rewrite;  // of the path
  std::string regex_substitution;
  std::shared_ptr<const telemetry::LogFormat> path_rewrite;  // null: none
  bool keeps_port = false;  // whatever the new scheme's own port is
  std::string scheme;
  uint32_t port = 0;
  uint16_t status = 301;
};
struct DirectAction {
  uint16_t status = 200;
  std::string body;
};

struct VirtualHost;
using RouteStats = stats::Group<stats::RouteSchema>;

struct Route {
  std::string name;
  RouteMatch match;
  std::variant<ClusterAction, RedirectAction, DirectAction> action;
  HeaderEdits request_edits, response_edits;
  const VirtualHost* vhost = nullptr;
  FilterOverrides filter_configs;
  std::shared_ptr<RouteStats> stats;          // null: it has no stat_prefix
  std::shared_ptr<const RouteExtras> extras;  // what few routes have; null: nothing of it
};

/// A part of a virtual host's requests that is counted by itself.
struct VirtualCluster {
  std::string name;
  std::vector<HeaderMatch> headers;  // all must match
  std::shared_ptr<RouteStats> stats;
};

/// Routes of a virtual host: [first, end).
struct RouteRange {
  size_t first = 0, end = 0;
};
/// Those that a matching tree finds for a request.
using RouteTree = std::function<RouteRange(const http::HeaderMap&, const http::StreamInfo&)>;

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;
  std::vector<Route> routes;                     // first match wins
  RouteTree tree;                                // of them only those that it finds; none: all
  std::vector<VirtualCluster> virtual_clusters;  // first match wins; the last takes the rest
  HeaderEdits request_edits, response_edits;
  bool include_request_attempt_count = false;
  bool include_attempt_count_in_response = false;
  bool include_is_timeout_retry_header = false;
  enum class RequireTls : uint8_t { None, ExternalOnly, All } require_tls = RequireTls::None;
  std::optional<RetryPolicy> retry;  // for routes without one
  std::optional<bool> hedges;        // the same
  FilterOverrides filter_configs;
};

// ------------------------------------------------------------------------------------------------
// the table
class RouteTable;

/// Why and where: the answer of RouteTable::decide. Pointers live with the table.
struct RouteDecision {
  const RouteTable* table = nullptr;
  const VirtualHost* vhost = nullptr;
  const Route* route = nullptr;  // null: nothing matched
  const WeightedCluster* weighted = nullptr;
  std::string_view cluster;  // for cluster actions; may name a cluster that does not exist
  uint32_t candidates = 0;   // routes that the request was held against
  enum class Reason : uint8_t {
    NoTable,
    NoVirtualHost,
    NoRoute,
    TlsRequired,
    Matched
  } reason = Reason::NoTable;
};

/// The override under this name of the weighted cluster, else of the route, else of the virtual
/// host. Null: none, or no route matched.
const FilterOverride* filter_override(const RouteDecision& decision, std::string_view filter_name);

class RouteTable {
 public:
  /// Takes the virtual hosts as they are; builds the indexes. Refuses duplicate domains.
  struct Input {
    std::string name;
    std::vector<VirtualHost> hosts;
    HeaderEdits request_edits, response_edits;
    bool most_specific_header_mutations_wins = false;
    bool ignore_port_in_host_matching = false;
    std::string vhost_header;  // lower case; stands for the request's host
    std::vector<std::string> internal_only_headers;
    bool validate_clusters = false;
    uint64_t content_hash = 0;
  };
  static absl::StatusOr<std::shared_ptr<const RouteTable>> build(Input input);

  /// `random` decides fractions and weighted clusters: any 64 random bits (one draw per request).
  /// `info`: what else is known; null: conditions on that do not hold.
  RouteDecision decide(const http::HeaderMap& request, uint64_t random,
                       const http::StreamInfo* info = nullptr) const;

  const std::string& name() const { return input_.name; }
  const Input& input() const { return input_; }
  /// Every cluster name that a route refers to.
  std::vector<std::string> clusters() const;

 private:
  explicit RouteTable(Input input) : input_(std::move(input)) {}
  absl::Status add_domain(const std::string& written, const VirtualHost& vhost);
  const VirtualHost* find_host(std::string_view authority) const;

  Input input_;
  Route tls_redirect_;  // where require_tls sends plain requests
  StringMap<const VirtualHost*> exact_;
  // Wildcards by length, longest first: "*.example.com" and "www.*".
  std::vector<std::pair<size_t, StringMap<const VirtualHost*>>> suffix_;
  std::vector<std::pair<size_t, StringMap<const VirtualHost*>>> prefix_;
  const VirtualHost* default_ = nullptr;
};

}  // namespace remora::router
