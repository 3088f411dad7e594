#include "proxy/server/worker.h"

#include <pthread.h>

#include <string>

#include "proxy/telemetry/connection_log.h"

namespace remora::server {
namespace {

ListenerEnvironment environment_of(EventLoop& loop, WorkerContext& context,
                                   const WorkerSettings& settings) {
  return ListenerEnvironment{
      .loop = loop,
      .worker = context,
      .worker_index = settings.index,
      .connection_limit = settings.connection_limit,
      .drain_time_ms = settings.drain_time_ms,
      .gradual_drain = settings.gradual_drain,
      .next_connection_id = [](WorkerContext& worker) { return worker.next_connection_id(); },
      .log_connection = &telemetry::log_connection,
  };
}

}  // namespace

Worker::Worker(const WorkerSettings& settings)
    : context_(loop_, settings.index, settings.random_seed),
      streams_(context_),
      clusters_(context_),
      listeners_(environment_of(loop_, context_, settings)),
      trust_check_(context_, clusters_, &listeners_),
      mailbox_(loop_, &Worker::on_update, this) {
  context_.set_clusters(clusters_);
  context_.set_routes(routes_);
  context_.set_streams(streams_);
  if (settings.health_check_failed != nullptr)
    listeners_.watch_health_check(*settings.health_check_failed);
  clusters_.set_local_cluster(settings.local_cluster, settings.here);
  clusters_.set_loop_guard(
      [this](const Address& address) { return listeners_.listens_at(address); });
}

Worker::~Worker() {
  if (thread_.joinable()) {
    post(Shutdown{});
    thread_.join();
  }
}

void Worker::start() {
  thread_ = std::thread([this] {
    std::string name = "wrk:" + std::to_string(context_.index());
    pthread_setname_np(pthread_self(), name.c_str());
    loop_.run();
  });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::on_update(void* self, ConfigUpdate&& update) {
  auto& worker = *static_cast<Worker*>(self);
  std::visit([&](auto&& message) { worker.apply(std::move(message)); }, std::move(update));
}

void Worker::apply(SetCluster&& update) {
  clusters_.update(std::move(update.config), std::move(update.shared), std::move(update.hosts));
}
void Worker::apply(SetHosts&& update) {
  clusters_.update_hosts(update.cluster, std::move(update.hosts));
}
void Worker::apply(RemoveCluster&& update) { clusters_.remove(update.name); }
void Worker::apply(SetRoutes&& update) { routes_.update(std::move(update.table)); }
void Worker::apply(RemoveRoutes&& update) { routes_.remove(update.name); }
void Worker::apply(SetListener&& update) {
  listeners_.set(std::move(update.config), std::move(update.sockets));
}
void Worker::apply(RemoveListener&& update) { listeners_.remove(update.name); }

void Worker::apply(SetTlsContext&& update) {
  update.slots->set(context_.index(), std::move(update.context));
  if (update.verify_again) trust_check_.start();
}

void Worker::apply(Drain&& update) {
  auto scope = update.scope == DrainScope::InboundOnly ? ListenerSet::Scope::InboundOnly
                                                       : ListenerSet::Scope::All;
  if (update.stop_accepting) listeners_.stop_accepting(scope);
  listeners_.drain(scope);
}

void Worker::apply(DeliverKeys&& update) {
  update.keys->deliver(context_.index(), std::move(update.set), update.valid_until);
}

void Worker::apply(DeliverName&& update) {
  update.cache->deliver(context_.index(), update.key, update.name);
}
void Worker::apply(ForgetName&& update) { update.cache->forget(context_.index(), update.key); }

void Worker::apply(Shutdown&&) {
  listeners_.close_all();
  routes_.end_background();
  loop_.stop();
}

}  // namespace remora::server
