#include "proxy/server/server.h"

#include <malloc.h>
#include <signal.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "proxy/base/log.h"
#include "proxy/net/machine_address.h"
#include "proxy/server/admin_endpoints.h"
#include "proxy/stats/names.h"
#include "proxy/telemetry/access_log.h"
#include "xds/node.h"

namespace remora::server {
namespace {

using xds::translate::UnknownFieldPolicy;

UnknownFieldPolicy static_policy(const Options& options) {
  return {options.allow_unknown_static_fields ? UnknownFieldPolicy::Kind::StaticAccept
                                              : UnknownFieldPolicy::Kind::StaticRefuse};
}

UnknownFieldPolicy dynamic_policy(const Options& options) {
  if (options.reject_unknown_dynamic_fields) return {UnknownFieldPolicy::Kind::DynamicRefuse};
  if (options.ignore_unknown_dynamic_fields) return {UnknownFieldPolicy::Kind::DynamicIgnore};
  return {UnknownFieldPolicy::Kind::Dynamic};
}

absl::Status set_up_logging(const Options& options, const std::string& bootstrap_format) {
  set_log_level(parse_log_level(options.log_level).value_or(LogLevel::info));
  if (!options.component_log_level.empty()) {
    if (auto status = set_component_log_levels(options.component_log_level); !status.ok())
      return status;
  }
  if (!options.log_format.empty()) {
    set_log_format(options.log_format);
  } else if (!bootstrap_format.empty()) {
    set_log_format(bootstrap_format);
  }
  return options.log_path.empty() ? absl::OkStatus() : open_log_file(options.log_path);
}

uint32_t concurrency_of(const Options& options) {
  return options.concurrency != 0 ? options.concurrency : granted_cpus();
}

std::vector<xds::ExtensionName> extension_names(const FilterRegistries& registries) {
  std::vector<xds::ExtensionName> names;
  auto add = [&](const auto& registry, const char* category) {
    for (std::string_view type : registry.types())
      names.push_back({std::string(type), category, {std::string(type)}});
  };
  add(registries.http, "envoy.filters.http");
  add(registries.network, "envoy.filters.network");
  add(registries.listener, "envoy.filters.listener");
  return names;
}

uint64_t random_seed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::create(const Options& options,
                                                       const FilterRegistries& registries) {
  if (options.config_path.empty() && options.config_yaml.empty()) {
    return absl::InvalidArgumentError(
        "at least one of --config-path or --config-yaml should be non-empty");
  }
  std::vector<std::string> unknown;
  xds::translate::BootstrapInput input;
  input.path = options.config_path;
  input.yaml = options.config_yaml;
  input.service_node = options.service_node;
  input.service_cluster = options.service_cluster;
  input.service_zone = options.service_zone;
  input.stats_tags = options.stats_tags;
  input.policy = static_policy(options);
  input.on_unknown = [&](std::string place) { unknown.push_back(std::move(place)); };
  auto bootstrap = xds::translate::load_bootstrap(input);
  if (!bootstrap.ok()) return bootstrap.status();
  bootstrap->node.local_address =
      machine_address(options.local_address_v6 ? Address::Family::V6 : Address::Family::V4)
          .ip_string();
  if (auto status = set_up_logging(options, bootstrap->log_format); !status.ok()) return status;
  auto store = stats::Store::make(bootstrap->stats, concurrency_of(options));
  if (!store.ok()) return store.status();

  std::unique_ptr<Server> server(
      new Server(options, registries, *std::move(bootstrap), *std::move(store)));
  for (std::string& place : unknown) server->static_context_.on_unknown(std::move(place));
  server->make_workers();
  if (auto status = server->add_static_resources(); !status.ok()) return status;
  if (options.mode != Mode::Validate) {
    if (auto status = server->open_admin(); !status.ok()) return status;
  }
  return server;
}

Server::Server(const Options& options, const FilterRegistries& registries,
               xds::translate::BootstrapConfig bootstrap, std::unique_ptr<stats::Store> stats)
    : options_(options),
      registries_(registries),
      bootstrap_(std::move(bootstrap)),
      node_(xds::make_node(bootstrap_.proto.node(), extension_names(registries_))),
      lifecycle_{wall_now_ns(), monotonic_now_ms()},
      stats_(std::move(stats)),
      server_stats_(*stats_, lifecycle_, connections_),
      access_log_sinks_(options_.file_flush_interval_ms, stats_->workers() + 1),
      static_context_{*stats_,
                      registries_,
                      static_policy(options_),
                      [this](std::string place) {
                        unknown_.report(place, [this] { server_stats_.count_unknown(false); });
                      },
                      bootstrap_.node,
                      &bootstrap_.runtime,
                      &access_log_sinks_,
                      ""},
      dynamic_context_{*stats_,
                       registries_,
                       dynamic_policy(options_),
                       [this](std::string place) {
                         unknown_.report(place, [this] { server_stats_.count_unknown(true); });
                       },
                       bootstrap_.node,
                       &bootstrap_.runtime,
                       &access_log_sinks_,
                       ""},
      main_context_(loop_, stats_->main_index(), random_seed()),
      main_clusters_(main_context_),
      sources_(main_context_, node_,
               stats_->group<stats::ControlPlaneSchema>(stats::kControlPlanePrefix)),
      trust_check_(main_context_, main_clusters_, nullptr),
      secrets_(*this, main_context_, trust_check_, *stats_, dynamic_context_, sources_),
      remote_keys_(main_context_, *this),
      dns_caches_(main_context_, *this, *stats_),
      clusters_(*this, main_clusters_, main_context_, *stats_, dynamic_context_, sources_,
                secrets_),
      routes_(*this, clusters_, dynamic_context_, sources_),
      listeners_(*this, routes_, secrets_, loop_, *stats_, dynamic_context_,
                 options_.drain_time_s * 1000),
      signals_(loop_, [this](int number) { on_signal(number); }),
      flush_timer_(loop_.timers(), Timer::bind<&Server::on_flush_timer, Server>(), this),
      drain_timer_(loop_.timers(), Timer::bind<&Server::check_drained, Server>(), this),
      stop_listening_timer_(
          loop_.timers(),
          [](void* self) {
            auto& server = *static_cast<Server*>(self);
            server.listeners_.drain(server.stop_listening_scope_, true);
          },
          this) {
  main_context_.set_clusters(main_clusters_);
  static_context_.tls = &secrets_;
  dynamic_context_.tls = &secrets_;
  static_context_.remote_keys = &remote_keys_;
  dynamic_context_.remote_keys = &remote_keys_;
  static_context_.dns_caches = &dns_caches_;
  dynamic_context_.dns_caches = &dns_caches_;
  if (bootstrap_.ads) sources_.set_ads(*bootstrap_.ads);
  if (bootstrap_.max_active_downstream_connections)
    connections_.set_max(*bootstrap_.max_active_downstream_connections);
}

Server::~Server() {
  for (auto& worker : workers_) worker->post(Shutdown{});
  for (auto& worker : workers_) worker->join();
}

void Server::make_workers() {
  uint32_t count = concurrency_of(options_);
  for (uint32_t i = 0; i < count; ++i) {
    WorkerSettings settings;
    settings.index = i;
    settings.random_seed = random_seed();
    settings.drain_time_ms = options_.drain_time_s * 1000;
    settings.gradual_drain = options_.drain_strategy == DrainStrategy::Gradual;
    settings.connection_limit = &connections_;
    settings.health_check_failed = &health_check_failed_;
    settings.local_cluster = bootstrap_.proto.cluster_manager().local_cluster_name();
    settings.here = {bootstrap_.node.region, bootstrap_.node.zone, bootstrap_.node.sub_zone};
    workers_.push_back(std::make_unique<Worker>(settings));
  }
}

absl::Status Server::add_static_resources() {
  static_context_.ads_configured = bootstrap_.ads.has_value();
  const auto& secrets = bootstrap_.proto.static_resources().secrets();
  for (int i = 0; i < secrets.size(); ++i) {
    if (auto status = secrets_.add_static(secrets[i], static_context_); !status.ok()) {
      const std::string place = "static_resources.secrets[" + std::to_string(i) + "]";
      return xds::translate::prefixed(place, status);
    }
  }
  auto resources = xds::translate::static_resources(bootstrap_, static_context_);
  if (!resources.ok()) return resources.status();
  admin_access_logs_ = std::move(resources->admin_access_logs);
  clusters_.set_outlier_log(resources->outlier_log);
  const auto& proto = bootstrap_.proto.static_resources();
  for (size_t i = 0; i < resources->clusters.size(); ++i) {
    auto status = clusters_.add_static(proto.clusters(static_cast<int>(i)), resources->clusters[i]);
    if (!status.ok()) return status;
  }
  if (options_.mode == Mode::Validate) return listeners_.check_static(resources->listeners);
  for (size_t i = 0; i < resources->listeners.size(); ++i) {
    auto status =
        listeners_.add_static(proto.listeners(static_cast<int>(i)), resources->listeners[i]);
    if (!status.ok()) return status;
  }
  envoy::config::bootstrap::v3::Bootstrap applied;
  applied.Swap(&bootstrap_.proto);
  bootstrap_message_ = Kept(applied);
  return absl::OkStatus();
}

absl::Status Server::open_admin() {
  AdminEndpoints::add(*this, admin_);
  if (!bootstrap_.admin_address) return absl::OkStatus();
  AdminListenerOptions options;
  options.on_answered = [this](const http::StreamInfo& info) {
    for (const auto& log : admin_access_logs_) log->log(main_context_, info);
  };
  if (!bootstrap_.admin_ignores_connection_limit) options.connection_limit = &connections_;
  auto listener = AdminListener::open(loop_, *bootstrap_.admin_address, admin_, std::move(options));
  if (!listener.ok()) return listener.status();
  admin_listener_ = *std::move(listener);
  LOG_INFO(main, "admin address: {}", admin_listener_->address().to_string());
  if (!options_.admin_address_path.empty()) {
    std::ofstream file(options_.admin_address_path);
    if (!(file << admin_listener_->address().to_string() << std::flush)) {
      LOG_CRITICAL(main, "cannot open admin address output file {} for writing.",
                   options_.admin_address_path);
    }
  }
  return absl::OkStatus();
}

int Server::run() {
  if (options_.mode == Mode::Validate) {
    std::printf("configuration '%s' OK\n", options_.config_path.c_str());
    return 0;
  }
  LOG_INFO(main, "{}", version_text());
  for (auto& worker : workers_) worker->start();
  secrets_.start();
  subscribe_clusters();
  flush_timer_.arm(bootstrap_.stats_flush_interval_ms);
  const bool done = options_.mode == Mode::InitOnly && lifecycle_.initialized;
  if (!done) loop_.run();
  LOG_INFO(main, "exiting");
  return 0;
}

std::unique_ptr<xds::Subscription> Server::subscribe_all(
    std::string_view type_url, const ConfigSource& source, std::string_view prefix,
    xds::ResourceConsumer& consumer, std::unique_ptr<xds::SubscriptionStats>* stats) {
  *stats = std::make_unique<xds::SubscriptionStats>(
      stats_->group<stats::SubscriptionSchema>(prefix), stats_->main_index());
  xds::SubscribeOptions options;
  options.type_url = type_url;
  options.wildcard = true;
  options.observer = stats->get();
  options.initial_fetch_timeout_ms = source.initial_fetch_timeout_ms;
  return sources_.of(source).subscribe(options, consumer);
}

void Server::subscribe_clusters() {
  if (bootstrap_.cds) {
    cds_ = subscribe_all(xds::kClusterType, *bootstrap_.cds, stats::kCdsPrefix, clusters_,
                         &cds_stats_);
  }
  clusters_.when_initialized(bootstrap_.cds.has_value(), [this] { subscribe_listeners(); });
  sources_.start_ads();
}

void Server::subscribe_listeners() {
  if (bootstrap_.lds) {
    lds_ = subscribe_all(xds::kListenerType, *bootstrap_.lds, stats::kLdsPrefix, listeners_,
                         &lds_stats_);
  }
  listeners_.when_initialized(bootstrap_.lds.has_value(), [this] { on_initialized(); });
}

void Server::on_initialized() {
  listeners_.start_workers();
  lifecycle_.initialized = true;
  server_stats_.on_initialized(monotonic_now_ms() - lifecycle_.started_ms);
  LOG_INFO(main, "all clusters and listeners initialized, serving with {} workers",
           workers_.size());
  // What reading and compiling took meanwhile can be several times of what stays.
  malloc_trim(0);
  if (options_.mode == Mode::InitOnly) loop_.stop();
}

void Server::on_signal(int number) {
  switch (number) {
    case SIGUSR1:
      if (auto status = reopen_log_file(); !status.ok())
        LOG_ERROR(main, "{}", std::string(status.message()));
      access_log_sinks_.reopen();
      break;
    case SIGTERM:
    case SIGINT:
      if (lifecycle_.draining || !lifecycle_.initialized) {
        loop_.stop();
      } else {
        drain_and_exit();
      }
      break;
    default:
      break;
  }
}

void Server::drain_and_exit() {
  LOG_INFO(main, "draining for at most {} s", options_.drain_time_s);
  lifecycle_.draining = true;
  listeners_.drain(DrainScope::All, /*stop_accepting=*/true);
  drain_deadline_ = loop_.now_ms() + options_.drain_time_s * 1000;
  check_drained();
}

void Server::check_drained() {
  if (connections_.open() == 0 || loop_.now_ms() >= drain_deadline_) {
    loop_.stop();
    return;
  }
  drain_timer_.arm(kDrainPollMs);
}

void Server::drain_listeners(DrainScope scope, bool graceful, bool keep_accepting) {
  listeners_.drain(scope, /*stop_accepting=*/!graceful);
  if (!graceful || keep_accepting) return;
  stop_listening_scope_ = scope;
  stop_listening_timer_.arm(options_.drain_time_s * 1000);
}

void Server::fail_health_check(bool failed) {
  lifecycle_.health_check_failed = failed;
  health_check_failed_.store(failed, std::memory_order_relaxed);
}

void Server::on_flush_timer() {
  stats_->end_interval();
  secrets_.refresh();
  flush_timer_.arm(bootstrap_.stats_flush_interval_ms);
}

}  // namespace remora::server
