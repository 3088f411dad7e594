// The metrics that Remora keeps, under Envoy's names. `Stat` is written by workers (or the main
// thread's slab), `MainStat` by the main thread alone. Several schemas may share a prefix. Filters
// define their own (see schema.h).
// clang-format off
#pragma once

#include "proxy/stats/schema.h"

namespace remora::stats {

// --- cluster.NAME ---
#define REMORA_CLUSTER_STATS(X)                                                                    \
  X(Gauge, upstream_cx_active) X(Gauge, upstream_cx_rx_bytes_buffered)                             \
  X(Gauge, upstream_cx_tx_bytes_buffered) X(Gauge, upstream_rq_active)                             \
  X(Gauge, upstream_rq_pending_active)                                                             \
  X(Counter, bind_errors) X(Counter, lb_healthy_panic) X(Counter, lb_local_cluster_not_ok)         \
  X(Counter, lb_recalculate_zone_structures) X(Counter, lb_subsets_fallback)                       \
  X(Counter, lb_subsets_fallback_panic) X(Counter, lb_subsets_selected)                            \
  X(Counter, lb_zone_cluster_too_small) X(Counter, lb_zone_no_capacity_left)                       \
  X(Counter, lb_zone_routing_all_directly) X(Counter, lb_zone_routing_cross_zone)                  \
  X(Counter, lb_zone_routing_sampled) X(Counter, original_dst_host_invalid)                        \
  X(Counter, retry_or_shadow_abandoned) X(Counter, upstream_cx_close_notify)                       \
  X(Counter, upstream_internal_redirect_failed_total)                                              \
  X(Counter, upstream_internal_redirect_succeeded_total)                                           \
  X(Counter, upstream_cx_connect_attempts_exceeded) X(Counter, upstream_cx_connect_fail)           \
  X(Counter, upstream_cx_connect_timeout) X(Counter, upstream_cx_destroy)                          \
  X(Counter, upstream_cx_destroy_local) X(Counter, upstream_cx_destroy_local_with_active_rq)       \
  X(Counter, upstream_cx_destroy_remote) X(Counter, upstream_cx_destroy_remote_with_active_rq)     \
  X(Counter, upstream_cx_destroy_with_active_rq) X(Counter, upstream_cx_http1_total)               \
  X(Counter, upstream_cx_http2_total) X(Counter, upstream_cx_idle_timeout)                         \
  X(Counter, upstream_cx_max_duration_reached) X(Counter, upstream_cx_max_requests)                \
  X(Counter, upstream_cx_none_healthy) X(Counter, upstream_cx_overflow)                            \
  X(Counter, upstream_cx_pool_overflow) X(Counter, upstream_cx_protocol_error)                     \
  X(Counter, upstream_cx_rx_bytes_total) X(Counter, upstream_cx_total)                             \
  X(Counter, upstream_cx_tx_bytes_total) X(Counter, upstream_flow_control_backed_up_total)         \
  X(Counter, upstream_flow_control_drained_total)                                                  \
  X(Counter, upstream_flow_control_paused_reading_total)                                           \
  X(Counter, upstream_flow_control_resumed_reading_total) X(Counter, upstream_rq_active_overflow)  \
  X(Counter, upstream_rq_cancelled) X(Counter, upstream_rq_maintenance_mode)                       \
  X(Counter, upstream_rq_max_duration_reached) X(Counter, upstream_rq_pending_failure_eject)       \
  X(Counter, upstream_rq_pending_overflow) X(Counter, upstream_rq_pending_total)                   \
  X(Counter, upstream_rq_per_try_idle_timeout) X(Counter, upstream_rq_per_try_timeout)             \
  X(Counter, upstream_rq_retry) X(Counter, upstream_rq_retry_backoff_exponential)                  \
  X(Counter, upstream_rq_retry_backoff_ratelimited) X(Counter, upstream_rq_retry_limit_exceeded)   \
  X(Counter, upstream_rq_retry_overflow) X(Counter, upstream_rq_retry_success)                     \
  X(Counter, upstream_rq_rx_reset) X(Counter, upstream_rq_rx_reset_no_error)                       \
  X(Counter, upstream_rq_timeout) X(Counter, upstream_rq_total) X(Counter, upstream_rq_tx_reset)

#define REMORA_CLUSTER_MAIN_STATS(X)                                                               \
  X(Gauge, membership_degraded) X(Gauge, membership_excluded) X(Gauge, membership_healthy)         \
  X(Gauge, membership_total) X(Gauge, max_host_weight) X(Gauge, version) X(Gauge, warming_state)   \
  X(Gauge, default_cx_open, "circuit_breakers.default.cx_open")                                    \
  X(Gauge, default_cx_pool_open, "circuit_breakers.default.cx_pool_open")                          \
  X(Gauge, default_rq_open, "circuit_breakers.default.rq_open")                                    \
  X(Gauge, default_rq_pending_open, "circuit_breakers.default.rq_pending_open")                    \
  X(Gauge, default_rq_retry_open, "circuit_breakers.default.rq_retry_open")                        \
  X(OptionalGauge, default_remaining_cx, "circuit_breakers.default.remaining_cx")                  \
  X(OptionalGauge, default_remaining_cx_pools, "circuit_breakers.default.remaining_cx_pools")      \
  X(OptionalGauge, default_remaining_pending, "circuit_breakers.default.remaining_pending")        \
  X(OptionalGauge, default_remaining_retries, "circuit_breakers.default.remaining_retries")        \
  X(OptionalGauge, default_remaining_rq, "circuit_breakers.default.remaining_rq")                  \
  X(Gauge, high_cx_open, "circuit_breakers.high.cx_open")                                          \
  X(Gauge, high_cx_pool_open, "circuit_breakers.high.cx_pool_open")                                \
  X(Gauge, high_rq_open, "circuit_breakers.high.rq_open")                                          \
  X(Gauge, high_rq_pending_open, "circuit_breakers.high.rq_pending_open")                          \
  X(Gauge, high_rq_retry_open, "circuit_breakers.high.rq_retry_open")                              \
  X(OptionalGauge, high_remaining_cx, "circuit_breakers.high.remaining_cx")                        \
  X(OptionalGauge, high_remaining_cx_pools, "circuit_breakers.high.remaining_cx_pools")            \
  X(OptionalGauge, high_remaining_pending, "circuit_breakers.high.remaining_pending")              \
  X(OptionalGauge, high_remaining_retries, "circuit_breakers.high.remaining_retries")              \
  X(OptionalGauge, high_remaining_rq, "circuit_breakers.high.remaining_rq")                        \
  X(Counter, assignment_stale) X(Counter, assignment_timeout_received)                             \
  X(Counter, assignment_use_cached)                                                                \
  X(Counter, default_total_match_count, "default.total_match_count")                               \
  X(Counter, membership_change) X(Counter, update_attempt) X(Counter, update_empty)                \
  X(Counter, update_failure) X(Counter, update_no_rebuild) X(Counter, update_success)              \
  X(Gauge, lb_subsets_active) X(OptionalGauge, lb_subsets_single_host_per_subset_duplicate)        \
  X(Counter, lb_subsets_created) X(Counter, lb_subsets_removed)                                    \
  /* always zero here, but on dashboards */                                                        \
  X(Counter, upstream_cx_connect_with_0_rtt)                                                       \
  X(Counter, upstream_cx_http3_total) X(Counter, upstream_cx_preconnect_skipped)                   \
  X(Counter, upstream_http3_broken) X(Gauge, upstream_queue_overloaded)                            \
  X(Counter, upstream_rq_0rtt)

#define REMORA_CLUSTER_HISTOGRAMS(X)                                                               \
  X(Histogram, upstream_cx_connect_ms) X(Histogram, upstream_cx_length_ms)                         \
  X(Histogram, upstream_rq_per_cx)                                                                 \
  X(OptionalHistogram, upstream_rq_time)                                                           \
  X(OptionalHistogram, internal_upstream_rq_time, "internal.upstream_rq_time")                     \
  X(OptionalHistogram, external_upstream_rq_time, "external.upstream_rq_time")                     \
  X(OptionalHistogram, canary_upstream_rq_time, "canary.upstream_rq_time")

/// count_response(ClusterScope::All, 200) makes upstream_rq_200, upstream_rq_2xx and upstream_rq_completed.
enum class ClusterScope : uint8_t { All, Internal, External, Canary, Retry, kCount };
inline constexpr std::string_view kClusterScopes[] = {
    "upstream_rq", "internal.upstream_rq", "external.upstream_rq", "canary.upstream_rq",
    "retry.upstream_rq"};

REMORA_STATS_SCHEMA(Cluster, REMORA_CLUSTER_STATS, REMORA_CLUSTER_MAIN_STATS, REMORA_CLUSTER_HISTOGRAMS,
                    using Scope = ClusterScope;
                    static constexpr std::span<const std::string_view> kScopes = kClusterScopes;)

// --- cluster.NAME of a cluster with EDS, beside Cluster ---
#define REMORA_EDS_MAIN_STATS(X)                                                                   \
  X(Gauge, update_time) X(Counter, init_fetch_timeout) X(Counter, update_rejected) X(Text, version_text)
#define REMORA_UPDATE_HISTOGRAMS(X) X(Histogram, update_duration)
REMORA_STATS_SCHEMA(Eds, REMORA_NO_STATS, REMORA_EDS_MAIN_STATS, REMORA_UPDATE_HISTOGRAMS)

// --- cluster.NAME.ring_hash_lb, cluster.NAME.maglev_lb ---
#define REMORA_RING_HASH_STATS(X) \
  X(Gauge, max_hashes_per_host) X(Gauge, min_hashes_per_host) X(Gauge, size)
REMORA_STATS_SCHEMA(RingHash, REMORA_NO_STATS, REMORA_RING_HASH_STATS, REMORA_NO_STATS)
#define REMORA_MAGLEV_STATS(X) X(Gauge, max_entries_per_host) X(Gauge, min_entries_per_host)
REMORA_STATS_SCHEMA(Maglev, REMORA_NO_STATS, REMORA_MAGLEV_STATS, REMORA_NO_STATS)

// --- cluster.NAME.outlier_detection ---
#define REMORA_OUTLIER_STATS(X)                                                                    \
  X(Gauge, ejections_active) X(Counter, ejections_consecutive_5xx)                                 \
  X(Counter, ejections_detected_consecutive_5xx)                                                   \
  X(Counter, ejections_detected_consecutive_gateway_failure)                                       \
  X(Counter, ejections_detected_consecutive_local_origin_failure)                                  \
  X(Counter, ejections_detected_degradation) X(Counter, ejections_detected_failure_percentage)                                                \
  X(Counter, ejections_detected_local_origin_failure_percentage)                                   \
  X(Counter, ejections_detected_local_origin_success_rate) X(Counter, ejections_detected_success_rate) \
  X(Counter, ejections_enforced_consecutive_5xx)                                                   \
  X(Counter, ejections_enforced_consecutive_gateway_failure)                                       \
  X(Counter, ejections_enforced_consecutive_local_origin_failure)                                  \
  X(Counter, ejections_enforced_failure_percentage)                                                \
  X(Counter, ejections_enforced_local_origin_failure_percentage)                                   \
  X(Counter, ejections_enforced_local_origin_success_rate) X(Counter, ejections_enforced_success_rate) \
  X(Counter, ejections_enforced_total) X(Counter, ejections_overflow)                              \
  X(Counter, ejections_success_rate) X(Counter, ejections_total)
REMORA_STATS_SCHEMA(Outlier, REMORA_OUTLIER_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- cluster.NAME.health_check ---
#define REMORA_HEALTH_CHECK_STATS(X)                                                               \
  X(Gauge, degraded) X(Gauge, healthy) X(Counter, attempt) X(Counter, failure)                     \
  X(Counter, network_failure) X(Counter, passive_failure) X(Counter, success)                      \
  X(Counter, verify_cluster)
REMORA_STATS_SCHEMA(HealthCheck, REMORA_HEALTH_CHECK_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- http1, cluster.NAME.http1 ---
#define REMORA_HTTP1_STATS(X)                                                                      \
  X(Counter, dropped_headers_with_underscores) X(Counter, metadata_not_supported_error)            \
  X(Counter, requests_rejected_with_underscores_in_headers) X(Counter, response_flood)
REMORA_STATS_SCHEMA(Http1, REMORA_HTTP1_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- http2, cluster.NAME.http2 ---
#define REMORA_HTTP2_STATS(X)                                                                      \
  X(Gauge, deferred_stream_close) X(Gauge, outbound_control_frames_active)                         \
  X(Gauge, outbound_frames_active) X(Gauge, pending_send_bytes) X(Gauge, streams_active)           \
  X(Counter, dropped_headers_with_underscores) X(Counter, goaway_sent)                             \
  X(Counter, header_list_size_too_large) X(Counter, header_overflow)                               \
  X(Counter, headers_cb_no_stream) X(Counter, inbound_empty_frames_flood)                          \
  X(Counter, inbound_priority_frames_flood) X(Counter, inbound_window_update_frames_flood)         \
  X(Counter, keepalive_timeout) X(Counter, metadata_empty_frames)                                  \
  X(Counter, nghttp2_downstream_connections) X(Counter, nghttp2_upstream_connections)              \
  X(Counter, outbound_control_flood) X(Counter, outbound_flood)                                    \
  X(Counter, requests_rejected_with_underscores_in_headers) X(Counter, rx_messaging_error)         \
  X(Counter, rx_reset) X(Counter, stream_refused_errors) X(Counter, trailers)                      \
  X(Counter, tx_flush_timeout) X(Counter, tx_reset)
REMORA_STATS_SCHEMA(Http2, REMORA_HTTP2_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- listener.ADDRESS; its connections also as listener.ADDRESS.worker_N.* ---
#define REMORA_LISTENER_STATS(X)                                                                   \
  X(Gauge, downstream_cx_active) X(Gauge, downstream_pre_cx_active)                                \
  X(Counter, downstream_cx_total) X(Counter, downstream_cx_destroy)                                \
  X(Counter, downstream_cx_overflow) X(Counter, downstream_cx_overload_reject)                     \
  X(Counter, downstream_cx_transport_socket_connect_timeout)                                       \
  X(Counter, downstream_global_cx_overflow) X(Counter, downstream_listener_filter_error)           \
  X(Counter, downstream_listener_filter_remote_close) X(Counter, downstream_pre_cx_timeout)        \
  X(Counter, no_filter_chain_match)
#define REMORA_LISTENER_MAIN_STATS(X)                                                              \
  X(Counter, extension_config_missing) X(Counter, network_extension_config_missing)
#define REMORA_LISTENER_HISTOGRAMS(X)                                                              \
  X(Histogram, connections_accepted_per_socket_event) X(Histogram, downstream_cx_length_ms)
REMORA_STATS_SCHEMA(Listener, REMORA_LISTENER_STATS, REMORA_LISTENER_MAIN_STATS, REMORA_LISTENER_HISTOGRAMS,
                    static constexpr uint64_t kPerWorker =
                        1 << uint32_t(Stat::downstream_cx_active) | 1 << uint32_t(Stat::downstream_cx_total);)

// --- listener.ADDRESS.http.STAT_PREFIX ---
#define REMORA_RESPONSE_CLASSES(X)                                                                 \
  X(Counter, downstream_rq_1xx) X(Counter, downstream_rq_2xx) X(Counter, downstream_rq_3xx)        \
  X(Counter, downstream_rq_4xx) X(Counter, downstream_rq_5xx) X(Counter, downstream_rq_completed)
REMORA_STATS_SCHEMA(ListenerHttp, REMORA_RESPONSE_CLASSES, REMORA_NO_STATS, REMORA_NO_STATS)

// --- listener.ADDRESS.ssl, cluster.NAME.ssl ---
#define REMORA_TLS_STATS(X)                                                                        \
  X(Counter, connection_error) X(Counter, fail_verify_cert_hash) X(Counter, fail_verify_error)     \
  X(Counter, fail_verify_no_cert) X(Counter, fail_verify_san) X(Counter, handshake)                \
  X(Counter, no_certificate) X(Counter, ocsp_staple_failed) X(Counter, ocsp_staple_omitted)        \
  X(Counter, ocsp_staple_requests) X(Counter, ocsp_staple_responses) X(Counter, session_reused)    \
  X(OptionalCounter, tls12, "versions.TLSv1.2") X(OptionalCounter, tls13, "versions.TLSv1.3")      \
  X(OptionalCounter, tls_aes_128_gcm_sha256, "ciphers.TLS_AES_128_GCM_SHA256")                     \
  X(OptionalCounter, tls_aes_256_gcm_sha384, "ciphers.TLS_AES_256_GCM_SHA384")                     \
  X(OptionalCounter, tls_chacha20_poly1305_sha256, "ciphers.TLS_CHACHA20_POLY1305_SHA256")         \
  X(OptionalCounter, ecdhe_ecdsa_aes128_gcm_sha256, "ciphers.ECDHE-ECDSA-AES128-GCM-SHA256")       \
  X(OptionalCounter, ecdhe_ecdsa_aes256_gcm_sha384, "ciphers.ECDHE-ECDSA-AES256-GCM-SHA384")       \
  X(OptionalCounter, ecdhe_ecdsa_chacha20_poly1305, "ciphers.ECDHE-ECDSA-CHACHA20-POLY1305")       \
  X(OptionalCounter, ecdhe_rsa_aes128_gcm_sha256, "ciphers.ECDHE-RSA-AES128-GCM-SHA256")           \
  X(OptionalCounter, ecdhe_rsa_aes256_gcm_sha384, "ciphers.ECDHE-RSA-AES256-GCM-SHA384")           \
  X(OptionalCounter, ecdhe_rsa_chacha20_poly1305, "ciphers.ECDHE-RSA-CHACHA20-POLY1305")
REMORA_STATS_SCHEMA(Tls, REMORA_TLS_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- listener.ADDRESS.server_ssl_socket_factory, cluster.NAME.client_ssl_socket_factory ---
#define REMORA_TLS_FACTORY_STATS(X)                                                                \
  X(Counter, downstream_context_secrets_not_ready) X(Counter, upstream_context_secrets_not_ready)
#define REMORA_TLS_FACTORY_MAIN_STATS(X) X(Counter, ssl_context_update_by_sds)
REMORA_STATS_SCHEMA(TlsFactory, REMORA_TLS_FACTORY_STATS, REMORA_TLS_FACTORY_MAIN_STATS, REMORA_NO_STATS)

// --- listener.ADDRESS.ssl.certificate.NAME, cluster.NAME.ssl.certificate.NAME ---
#define REMORA_TLS_CERTIFICATE_MAIN_STATS(X) X(Gauge, expiration_unix_time_seconds)
REMORA_STATS_SCHEMA(TlsCertificate, REMORA_NO_STATS, REMORA_TLS_CERTIFICATE_MAIN_STATS, REMORA_NO_STATS)

// --- http.STAT_PREFIX: the connection manager ---
#define REMORA_HTTP_STATS(X)                                                                       \
  X(Gauge, downstream_cx_active) X(Gauge, downstream_cx_http1_active)                              \
  X(Gauge, downstream_cx_http1_soft_drain) X(Gauge, downstream_cx_http2_active)                    \
  X(Gauge, downstream_cx_rx_bytes_buffered) X(Gauge, downstream_cx_ssl_active)                     \
  X(Gauge, downstream_cx_tx_bytes_buffered) X(Gauge, downstream_cx_upgrades_active)                \
  X(Gauge, downstream_rq_active)                                                                   \
  REMORA_RESPONSE_CLASSES(X)                                                                       \
  X(Counter, downstream_cx_delayed_close_timeout) X(Counter, downstream_cx_destroy)                \
  X(Counter, downstream_cx_destroy_active_rq) X(Counter, downstream_cx_destroy_local)              \
  X(Counter, downstream_cx_destroy_local_active_rq) X(Counter, downstream_cx_destroy_remote)       \
  X(Counter, downstream_cx_destroy_remote_active_rq) X(Counter, downstream_cx_drain_close)         \
  X(Counter, downstream_cx_http1_total) X(Counter, downstream_cx_http2_total)                      \
  X(Counter, downstream_cx_idle_timeout) X(Counter, downstream_cx_max_duration_reached)            \
  X(Counter, downstream_cx_max_requests_reached) X(Counter, downstream_cx_overload_disable_keepalive) \
  X(Counter, downstream_cx_protocol_error) X(Counter, downstream_cx_rx_bytes_total)                \
  X(Counter, downstream_cx_ssl_total) X(Counter, downstream_cx_total)                              \
  X(Counter, downstream_cx_tx_bytes_total) X(Counter, downstream_cx_upgrades_total)                \
  X(Counter, downstream_flow_control_paused_reading_total)                                         \
  X(Counter, downstream_flow_control_resumed_reading_total)                                        \
  X(Counter, downstream_rq_failed_path_normalization) X(Counter, downstream_rq_header_timeout)     \
  X(Counter, downstream_rq_http1_total) X(Counter, downstream_rq_http2_total)                      \
  X(Counter, downstream_rq_idle_timeout) X(Counter, downstream_rq_max_duration_reached)            \
  X(Counter, downstream_rq_non_relative_path) X(Counter, downstream_rq_overload_close)             \
  X(Counter, downstream_rq_redirected_with_normalized_path)                                        \
  X(Counter, downstream_rq_rejected_via_ip_detection)                                              \
  X(Counter, downstream_rq_response_before_rq_complete) X(Counter, downstream_rq_rx_reset)         \
  X(Counter, downstream_rq_timeout) X(Counter, downstream_rq_too_large)                            \
  X(Counter, downstream_rq_too_many_premature_resets) X(Counter, downstream_rq_total)              \
  X(Counter, downstream_rq_tx_reset) X(Counter, downstream_rq_ws_on_non_ws_route)
#define REMORA_HTTP_MAIN_STATS(X)                                                                  \
  X(Gauge, downstream_cx_http3_active) X(Counter, downstream_cx_http3_total)                       \
  X(Counter, downstream_rq_http3_total)
#define REMORA_HTTP_HISTOGRAMS(X) X(Histogram, downstream_cx_length_ms) X(Histogram, downstream_rq_time)
REMORA_STATS_SCHEMA(Http, REMORA_HTTP_STATS, REMORA_HTTP_MAIN_STATS, REMORA_HTTP_HISTOGRAMS)

// --- http.STAT_PREFIX: the router filter, beside Http ---
#define REMORA_ROUTER_STATS(X)                                                                     \
  X(Counter, no_cluster) X(Counter, no_route) X(Counter, rq_direct_response)                       \
  X(Counter, rq_overload_local_reply) X(Counter, rq_redirect)                                      \
  X(Counter, rq_reset_after_downstream_response_started) X(Counter, rq_total)                      \
  X(Counter, rs_too_large)                                                                         \
  X(Counter, passthrough_internal_redirect_bad_location)                                           \
  X(Counter, passthrough_internal_redirect_no_route)                                               \
  X(Counter, passthrough_internal_redirect_predicate)                                              \
  X(Counter, passthrough_internal_redirect_too_many_redirects)                                     \
  X(Counter, passthrough_internal_redirect_unsafe_scheme)
REMORA_STATS_SCHEMA(Router, REMORA_ROUTER_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- http.STAT_PREFIX.tracing ---
#define REMORA_TRACING_STATS(X)                                                                    \
  X(Counter, client_enabled) X(Counter, health_check) X(Counter, not_traceable)                    \
  X(Counter, random_sampling) X(Counter, service_forced)
REMORA_STATS_SCHEMA(Tracing, REMORA_TRACING_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- vhost.NAME.route.STAT_PREFIX, of routes with a stat_prefix; vhost.NAME.vcluster.NAME ---
#define REMORA_ROUTE_STATS(X)                                                                      \
  X(Counter, upstream_rq_retry) X(Counter, upstream_rq_retry_limit_exceeded)                       \
  X(Counter, upstream_rq_retry_overflow) X(Counter, upstream_rq_retry_success)                     \
  X(Counter, upstream_rq_timeout) X(Counter, upstream_rq_total)
#define REMORA_ROUTE_HISTOGRAMS(X) X(OptionalHistogram, upstream_rq_time)
enum class RouteScope : uint8_t { All, kCount };
inline constexpr std::string_view kRouteScopes[] = {"upstream_rq"};
REMORA_STATS_SCHEMA(Route, REMORA_ROUTE_STATS, REMORA_NO_STATS, REMORA_ROUTE_HISTOGRAMS,
                    using Scope = RouteScope;
                    static constexpr std::span<const std::string_view> kScopes = kRouteScopes;)

// --- tcp.STAT_PREFIX ---
#define REMORA_TCP_STATS(X)                                                                        \
  X(Gauge, downstream_cx_rx_bytes_buffered) X(Gauge, downstream_cx_tx_bytes_buffered)              \
  X(Gauge, upstream_flush_active)                                                                  \
  X(Counter, downstream_cx_drain_close) X(Counter, downstream_cx_no_route)                         \
  X(Counter, downstream_cx_overload_close) X(Counter, downstream_cx_rx_bytes_total)                \
  X(Counter, downstream_cx_total) X(Counter, downstream_cx_tx_bytes_total)                         \
  X(Counter, downstream_flow_control_paused_reading_total)                                         \
  X(Counter, downstream_flow_control_resumed_reading_total) X(Counter, early_data_received_count_total) \
  X(Counter, idle_timeout) X(Counter, max_downstream_connection_duration)                          \
  X(Counter, route_delayed_total) X(Counter, upstream_flush_total)
REMORA_STATS_SCHEMA(Tcp, REMORA_TCP_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

// --- cluster_manager.cds, listener_manager.lds, http.STAT_PREFIX.rds.NAME, sds.NAME ---
#define REMORA_SUBSCRIPTION_MAIN_STATS(X)                                                          \
  X(Gauge, update_time) X(Gauge, version) X(Counter, init_fetch_timeout) X(Counter, update_attempt) \
  X(Counter, update_failure) X(Counter, update_rejected) X(Counter, update_success)                \
  X(Text, version_text)
REMORA_STATS_SCHEMA(Subscription, REMORA_NO_STATS, REMORA_SUBSCRIPTION_MAIN_STATS, REMORA_UPDATE_HISTOGRAMS)

// --- cluster_manager.cds and http.STAT_PREFIX.rds.NAME, beside Subscription ---
#define REMORA_RELOAD_MAIN_STATS(X) X(Gauge, config_reload_time_ms) X(Counter, config_reload)
REMORA_STATS_SCHEMA(Reload, REMORA_NO_STATS, REMORA_RELOAD_MAIN_STATS, REMORA_NO_STATS)

// --- http.STAT_PREFIX.rds.NAME, beside Subscription and Reload ---
#define REMORA_RDS_MAIN_STATS(X) X(Counter, update_empty)
REMORA_STATS_SCHEMA(Rds, REMORA_NO_STATS, REMORA_RDS_MAIN_STATS, REMORA_NO_STATS)

// --- sds.NAME, beside Subscription ---
#define REMORA_SDS_MAIN_STATS(X) X(Counter, key_rotation_failed)
REMORA_STATS_SCHEMA(Sds, REMORA_NO_STATS, REMORA_SDS_MAIN_STATS, REMORA_NO_STATS)

// --- control_plane ---
#define REMORA_CONTROL_PLANE_MAIN_STATS(X)                                                         \
  X(Gauge, connected_state) X(Gauge, pending_requests) X(Counter, rate_limit_enforced) X(Text, identifier)
REMORA_STATS_SCHEMA(ControlPlane, REMORA_NO_STATS, REMORA_CONTROL_PLANE_MAIN_STATS, REMORA_NO_STATS)

// --- cluster_manager ---
#define REMORA_CLUSTER_MANAGER_MAIN_STATS(X)                                                       \
  X(Gauge, active_clusters) X(Gauge, warming_clusters) X(Counter, cluster_added)                   \
  X(Counter, cluster_modified) X(Counter, cluster_removed) X(Counter, cluster_updated)             \
  X(Counter, cluster_updated_via_merge) X(Counter, update_merge_cancelled)                         \
  X(Counter, update_out_of_merge_window)
REMORA_STATS_SCHEMA(ClusterManager, REMORA_NO_STATS, REMORA_CLUSTER_MANAGER_MAIN_STATS, REMORA_NO_STATS)

// --- listener_manager ---
#define REMORA_LISTENER_MANAGER_MAIN_STATS(X)                                                      \
  X(Gauge, total_filter_chains_draining) X(Gauge, total_listeners_active)                          \
  X(Gauge, total_listeners_draining) X(Gauge, total_listeners_warming) X(Gauge, workers_pinned)    \
  X(Gauge, workers_started) X(Counter, listener_added) X(Counter, listener_create_failure)         \
  X(Counter, listener_create_success) X(Counter, listener_in_place_updated)                        \
  X(Counter, listener_modified) X(Counter, listener_removed) X(Counter, listener_stopped)
REMORA_STATS_SCHEMA(ListenerManager, REMORA_NO_STATS, REMORA_LISTENER_MANAGER_MAIN_STATS, REMORA_NO_STATS)

// --- server ---
#define REMORA_SERVER_MAIN_STATS(X)                                                                \
  X(Gauge, fips_mode, "compilation_settings.fips_mode") X(Gauge, concurrency)                      \
  X(Gauge, days_until_first_cert_expiring) X(Gauge, hot_restart_epoch) X(Gauge, live)              \
  X(Gauge, memory_allocated) X(Gauge, memory_heap_size) X(Gauge, memory_physical_size)             \
  X(Gauge, parent_connections) X(Gauge, seconds_until_first_ocsp_response_expiring)                \
  X(Gauge, state) X(Gauge, stats_recent_lookups) X(Gauge, total_connections) X(Gauge, uptime)      \
  X(Gauge, version) X(Counter, debug_assertion_failures) X(Counter, dropped_stat_flushes)          \
  X(Counter, dynamic_unknown_fields) X(Counter, envoy_bug_failures) X(Counter, envoy_notifications) \
  X(Counter, static_unknown_fields) X(Counter, wip_protos)
#define REMORA_SERVER_HISTOGRAMS(X) X(Histogram, initialization_time_ms)
REMORA_STATS_SCHEMA(Server, REMORA_NO_STATS, REMORA_SERVER_MAIN_STATS, REMORA_SERVER_HISTOGRAMS)

// --- server.worker_N, server.main_thread ---
#define REMORA_WATCHDOG_MAIN_STATS(X) X(Counter, watchdog_mega_miss) X(Counter, watchdog_miss)
REMORA_STATS_SCHEMA(Watchdog, REMORA_NO_STATS, REMORA_WATCHDOG_MAIN_STATS, REMORA_NO_STATS)

// --- runtime ---
#define REMORA_RUNTIME_MAIN_STATS(X)                                                               \
  X(Gauge, admin_overrides_active) X(Gauge, deprecated_feature_seen_since_process_start)           \
  X(Gauge, num_keys) X(Gauge, num_layers) X(Counter, deprecated_feature_use) X(Counter, load_error) \
  X(Counter, load_success) X(Counter, override_dir_exists) X(Counter, override_dir_not_exists)
REMORA_STATS_SCHEMA(Runtime, REMORA_NO_STATS, REMORA_RUNTIME_MAIN_STATS, REMORA_NO_STATS)

}  // namespace remora::stats
