#include "proxy/server/admin_endpoints.h"

#include "proxy/server/admin/certs_view.h"
#include "proxy/server/admin/clusters_view.h"
#include "proxy/server/admin/config_dump.h"
#include "proxy/server/admin/listeners_view.h"
#include "proxy/server/admin/server_view.h"
#include "proxy/server/server.h"
#include "proxy/stats/query.h"

namespace remora::server {
namespace {

constexpr auto kRead = Admin::Effect::ReadOnly;
constexpr auto kChange = Admin::Effect::ChangesState;
constexpr auto kLocal = Admin::Audience::LocalHost;
constexpr auto kAnyHost = Admin::Audience::AnyHost;

AdminResponse stats_response(stats::Store& store, const AdminRequest& request, bool prometheus) {
  std::vector<std::pair<std::string, std::string>> parameters(request.query.begin(),
                                                              request.query.end());
  if (prometheus) std::erase_if(parameters, [](const auto& p) { return p.first == "format"; });
  auto query = stats::Query::parse(parameters);
  if (!query.ok()) return AdminResponse::text(std::string(query.status().message()), 400);
  if (prometheus) query->format = stats::Format::Prometheus;
  return {200, stats::render(store, *query), stats::content_type(query->format)};
}

}  // namespace

void AdminEndpoints::add(Server& server, Admin& admin) {
  add_views(server, admin);
  add_stats(server, admin);
  add_changes(server, admin);
}

void AdminEndpoints::add_views(Server& s, Admin& admin) {
  admin.add("/", "this text", kRead, kLocal, [&admin](const AdminRequest&) {
    return AdminResponse::text("admin commands are:\n" + admin.help());
  });
  admin.add("/help", "print out list of admin commands", kRead, kLocal,
            [&admin](const AdminRequest&) {
              return AdminResponse::text("admin commands are:\n" + admin.help());
            });
  admin.add("/ready", "print server state, return 200 if LIVE, otherwise return 503", kRead,
            kAnyHost, [&s](const AdminRequest&) {
              State state = s.lifecycle_.state();
              return AdminResponse::text(std::string(state_name(state)) + "\n",
                                         state == State::Live ? 200 : 503);
            });
  admin.add("/server_info", "print server version/status information", kRead, kLocal,
            [&s](const AdminRequest&) {
              return server_info(s.options_, s.lifecycle_, static_cast<uint32_t>(s.workers_.size()),
                                 s.node_);
            });
  admin.add("/clusters", "upstream cluster status", kRead, kLocal,
            [&s](const AdminRequest& request) { return clusters_view(s.clusters_, request); });
  admin.add("/listeners", "print listener info", kRead, kLocal,
            [&s](const AdminRequest& request) { return listeners_view(s.listeners_, request); });
  admin.add("/config_dump", "dump current configs", kRead, kLocal,
            [&s](const AdminRequest& request) {
              return config_dump({s.bootstrap_message_, s.lifecycle_.started_wall, s.clusters_,
                                  s.listeners_, s.routes_, s.secrets_},
                                 request);
            });
  admin.add("/certs", "print certs on machine", kRead, kLocal,
            [&s](const AdminRequest&) { return certs_view(s.secrets_); });
  admin.add("/memory", "print current allocation/heap usage", kRead, kLocal,
            [](const AdminRequest&) { return memory_view(); });
  admin.add("/runtime", "print runtime values", kRead, kLocal,
            [&s](const AdminRequest&) { return runtime_view(s.bootstrap_.runtime); });
  admin.add("/unsupported", "what was accepted from xDS without effect", kRead, kLocal,
            [&s](const AdminRequest&) { return AdminResponse::text(s.unknown_.text()); });
}

void AdminEndpoints::add_stats(Server& s, Admin& admin) {
  admin.add("/stats", "print server stats", kRead, kAnyHost, [&s](const AdminRequest& request) {
    return stats_response(*s.stats_, request, false);
  });
  admin.add("/stats/prometheus", "print server stats in prometheus format", kRead, kAnyHost,
            [&s](const AdminRequest& request) { return stats_response(*s.stats_, request, true); });
}

void AdminEndpoints::add_changes(Server& s, Admin& admin) {
  admin.add("/logging", "query/change logging levels", kChange, kLocal, &logging);
  admin.add("/healthcheck/fail", "cause the server to fail health checks", kChange, kLocal,
            [&s](const AdminRequest&) {
              s.fail_health_check(true);
              return AdminResponse::text("OK\n");
            });
  admin.add("/healthcheck/ok", "cause the server to pass health checks", kChange, kLocal,
            [&s](const AdminRequest&) {
              s.fail_health_check(false);
              return AdminResponse::text("OK\n");
            });
  admin.add("/reopen_logs", "reopen access logs and logs of events", kChange, kLocal,
            [&s](const AdminRequest&) {
              s.access_log_sinks_.reopen();
              return AdminResponse::text("OK\n");
            });
  admin.add("/reset_counters", "reset all counters to zero", kChange, kLocal,
            [&s](const AdminRequest&) {
              s.stats_->reset_counters();
              return AdminResponse::text("OK\n");
            });
  admin.add("/drain_listeners", "drain listeners (?graceful, ?skip_exit, ?inboundonly)", kChange,
            kLocal, [&s](const AdminRequest& request) {
              DrainScope scope =
                  request.has("inboundonly") ? DrainScope::InboundOnly : DrainScope::All;
              bool graceful = request.has("graceful");
              if (request.has("skip_exit") && !graceful) {
                return AdminResponse::text("skip_exit requires graceful\n", 400);
              }
              s.drain_listeners(scope, graceful, request.has("skip_exit"));
              return AdminResponse::text("OK\n");
            });
  admin.add("/quitquitquit", "exit the server", kChange, kLocal, [&s](const AdminRequest&) {
    s.quit_soon();
    return AdminResponse::text("OK\n");
  });
}

}  // namespace remora::server
