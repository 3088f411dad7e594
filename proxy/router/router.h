// The last HTTP filter: answers the request directly, or sends it to a host of the route's cluster,
// again if the policy says so, and passes the response back. Made per stream in the stream's arena;
// its worker's thread only. Document: envoy.extensions.filters.http.router.v3.Router.
#pragma once

#include <absl/container/inlined_vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/http/filter.h"
#include "proxy/router/attempt.h"
#include "proxy/router/mirror.h"
#include "proxy/router/request_edit.h"
#include "proxy/router/retry.h"
#include "proxy/router/route_extras.h"
#include "proxy/router/route_table.h"
#include "proxy/router/timeouts.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/previous_priorities.h"

namespace remora::router {

struct RouterConfig {
  EnvoyHeaders envoy_headers = EnvoyHeaders::Insert;  // suppress_envoy_headers
  bool respect_expected_rq_timeout = false;
  bool dynamic_stats = true;  // upstream_rq_200, upstream_rq_time, ...
  std::shared_ptr<stats::Group<stats::RouterSchema>> stats;
};

class Router final : public http::Filter, private Attempt::Owner {
 public:
  static constexpr bool kTerminal = true;

  Router(http::FilterStream& stream, const RouterConfig& config);
  ~Router() override;

  http::FilterStatus on_request_headers(http::HeaderMap& headers, bool end_stream) override;
  http::FilterStatus on_request_body(Buffer& data, bool end_stream) override;
  http::FilterStatus on_request_trailers(http::HeaderMap& trailers) override;
  void on_destroy() override;
  void on_response_high_water() override;
  void on_response_low_water() override;

 private:
  // --- the request (router.cc) ---
  http::FilterStatus answer_directly(const Route& route, http::HeaderMap& headers);
  std::string_view direct_body(const DirectFormat& format, const DirectAction& direct);
  http::FilterStatus refuse_unknown_cluster(const ClusterAction& action);
  void set_needs(const http::HeaderMap& headers);
  void set_hash(const http::HeaderMap& headers);
  void set_metadata();
  void prepare_request(http::HeaderMap& headers);
  void set_attempt_headers();
  void try_upstream();
  bool choose_member();
  upstream::HostPtr pick_host();
  void avoid_what_failed(const RetryPolicy& policy, upstream::PickContext& context);
  bool ends_here() const;
  void send_request();
  bool may_redirect() const;
  void keep_for_replay(Buffer& data);
  void prepare_mirrors();
  void on_request_complete();
  void start_timeouts();
  void bound_answer();
  void note_connection(Attempt& attempt);

  // --- the response (router_response.cc) ---
  Arena& attempt_arena() override { return stream_.arena(); }
  void on_attempt_open(Attempt& attempt) override;
  void on_attempt_informational(Attempt& attempt, http::HeaderMap& headers) override;
  void on_attempt_headers(Attempt& attempt, http::HeaderMap& headers, bool end_stream) override;
  void on_attempt_data(Buffer& data, bool end_stream) override;
  void on_attempt_trailers(http::HeaderMap& trailers) override;
  void on_attempt_failed(Attempt& attempt, http::ResetReason reason,
                         std::string_view detail) override;
  void on_attempt_overdue(Attempt& attempt, Attempt::Bound bound) override;
  void on_attempt_high_water() override;
  void on_attempt_low_water() override;

  bool passes_redirect_policy(const http::HeaderMap& headers);
  bool follows_redirect(Attempt& attempt, const http::HeaderMap& headers, bool end_stream);
  void complete_response_headers(http::HeaderMap& headers);
  uint16_t timeout_status() const;
  uint16_t verdict_of(const http::HeaderMap& headers) const;
  void report_failure(const Attempt& attempt, uint16_t as_status);
  void on_response_complete();
  void open_tunnel();
  void on_global_timeout();
  void on_try_timeout(Attempt& attempt, stats::ClusterStat counter, const http::Failure& failure);
  void hedge(Attempt& late);
  void on_stream_duration_reached(Attempt& attempt);
  void charge_timeout(const Attempt& attempt);
  void answer_timeout(const http::Failure& failure);
  void give_up_attempts();
  void settle_on(Attempt& attempt);
  bool others_may_answer(const Attempt& attempt) const;
  void answer_no_host();
  void answer_reset(http::ResetReason reason, std::string_view detail);
  void reply(const http::Failure& failure, std::string_view body, bool overloaded);

  // --- trying again ---
  enum class Again : uint8_t { Yes, No };
  Again send_unprocessed_again(http::ResetReason reason);
  size_t replay_limit() const;
  Again decide_retry(bool wanted, bool late = false);
  void release_retry();
  void on_back_off_over();

  // --- counting ---
  void count_upstream_code(uint16_t status, const http::HeaderMap* response,
                           const Attempt* attempt = nullptr);
  void count_retried_code(uint16_t status);
  void find_route_counters(const http::HeaderMap& headers);
  void count_for_route(stats::RouteStat stat);
  void judge_host(Attempt& attempt, const http::HeaderMap& headers, bool end_stream);
  void count_upstream_time();
  uint64_t now_us() const;
  uint64_t unix_seconds() const;
  uint64_t ms_since_request() const;

  http::FilterStream& stream_;
  const RouterConfig& config_;
  stats::Slab<stats::RouterSchema>& stats_;
  /// Of the virtual cluster and of the route, where they are counted by themselves.
  absl::InlinedVector<stats::Slab<stats::RouteSchema>*, 2> route_stats_;
  upstream::ClusterPin cluster_;  // of the route
  upstream::ClusterPin member_;   // that serves the attempt: the same, or part of it
  std::optional<upstream::PriorityChoice> member_choice_;
  const ClusterAction* action_ = nullptr;
  const RouteExtras* extras_ = nullptr;  // of the route; null: none
  Mirrors mirrors_;
  RetryPlan plan_;
  Timeouts timeouts_;
  upstream::ConnectionNeeds needs_;
  std::string_view forward_key_;  // of the host, when the cluster is a dynamic forward proxy's
  Attempt* attempt_ = nullptr;    // the newest, or who answers; null while waiting to retry
  Attempt* attempts_ = nullptr;   // all, newest first
  absl::InlinedVector<const upstream::Host*, 2> tried_;
  std::unique_ptr<upstream::PreviousPriorities> previous_priorities_;  // null: not asked for
  std::optional<uint64_t> hash_;  // of the request, when its cluster's balancer wants one
  const upstream::MetadataCriteria* metadata_ = nullptr;  // what is asked of hosts; null: nothing
  std::unique_ptr<const upstream::MetadataCriteria> own_metadata_;  // when filters ask for more
  absl::InlinedVector<std::string_view, 1> set_cookies_;            // that go with it
  Buffer unsent_;  // of the body: what the attempt has not taken yet
  Buffer replay_;  // of the body: everything so far, while a retry is possible
  http::HeaderMap* trailers_ = nullptr;
  uint32_t attempt_count_ = 1;
  uint32_t response_pauses_ = 0;
  uint64_t request_end_us_ = 0;
  bool request_ended_ = false;
  bool headers_only_ = false;  // the request ended with its head
  bool body_paused_ = false;   // unsent_ is over the limit
  bool response_started_ = false;
  bool response_ended_ = false;
  bool tunnel_ = false;       // open: each direction ends for itself
  bool retry_taken_ = false;  // a place of the retry breaker is held
  bool retried_ = false;
  bool resendable_ = true;  // once, should the upstream process nothing of it
  bool resent_ = false;
  bool body_lost_ = false;      // it was too long to be kept
  bool last_was_late_ = false;  // a timeout has led to the retry
  bool told_when_ = false;      // the answer has, for the retry that waits
  bool over_ = false;
  bool grpc_ = false;           // the request
  bool host_unjudged_ = false;  // until grpc-status comes
  Timer global_timer_;
  Timer back_off_timer_;
};

using RouterFactory = http::FilterOf<Router, RouterConfig>;

}  // namespace remora::router
