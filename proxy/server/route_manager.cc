#include "proxy/server/route_manager.h"

#include <set>

#include "proxy/base/log.h"
#include "proxy/stats/store.h"
#include "xds/subscription_stats.h"
#include "xds/translate/route.h"

namespace remora::server {

class RouteManager::Watch final : public xds::ResourceConsumer {
 public:
  Watch(RouteManager& manager, const ResourceRef& ref) : manager_(manager), name_(ref.name) {
    xds::SubscribeOptions options;
    options.type_url = xds::kRouteType;
    options.names = {name_};
    options.initial_fetch_timeout_ms = ref.source.initial_fetch_timeout_ms;
    if (!ref.stats_prefix.empty()) {
      stats::Store& store = manager_.context_.stats;
      stats_ = std::make_unique<xds::SubscriptionStats>(
          store.group<stats::SubscriptionSchema>(ref.stats_prefix), store.main_index());
      reloads_ = store.group<stats::ReloadSchema>(ref.stats_prefix);
      options.observer = stats_.get();
    }
    subscription_ = manager_.sources_.of(ref.source).subscribe(options, *this);
  }

  std::vector<xds::Reject> on_resources(const xds::Update& update) override {
    std::vector<xds::Reject> rejects;
    for (const xds::ResourcePtr& resource : update.added) {
      if (resource->name != name_) continue;
      absl::Status status = apply(*resource, update.version);
      if (!status.ok()) rejects.push_back({resource->name, std::string(status.message())});
    }
    if (entry.table != nullptr) settle();
    return rejects;
  }

  void on_initial_fetch_timeout() override { settle(); }

  Entry entry;

 private:
  absl::Status apply(const xds::Resource& resource, std::string_view version) {
    envoy::config::route::v3::RouteConfiguration proto;
    if (!resource.body.UnpackTo(&proto))
      return absl::InvalidArgumentError("not a RouteConfiguration");
    auto table = xds::translate::routes(proto, manager_.context_);
    if (!table.ok()) return table.status();
    if ((*table)->input().validate_clusters) {
      for (const std::string& cluster : (*table)->clusters()) {
        if (!manager_.clusters_.has(cluster))
          return absl::InvalidArgumentError("route: unknown cluster '" + cluster + "'");
      }
    }
    entry.version = std::string(version);
    if (entry.table != nullptr &&
        entry.table->input().content_hash == (*table)->input().content_hash) {
      return absl::OkStatus();
    }
    entry.table = *std::move(table);
    entry.proto = Kept(proto);
    entry.updated_at = wall_now_ns();
    if (reloads_ != nullptr) {
      reloads_->inc(stats::ReloadMainStat::config_reload);
      reloads_->set(stats::ReloadMainStat::config_reload_time_ms, entry.updated_at / 1'000'000);
    }
    manager_.publisher_.post_all([&](size_t) -> ConfigUpdate { return SetRoutes{entry.table}; });
    LOG_DEBUG(router, "route configuration '{}' updated", name_);
    return absl::OkStatus();
  }

  void settle() {
    if (entry.settled) return;
    entry.settled = true;
    if (manager_.on_settled_) manager_.on_settled_();
  }

  RouteManager& manager_;
  std::string name_;
  std::unique_ptr<xds::SubscriptionStats> stats_;
  std::shared_ptr<stats::Group<stats::ReloadSchema>> reloads_;
  std::unique_ptr<xds::Subscription> subscription_;
};

RouteManager::RouteManager(Publisher& publisher, ClusterManager& clusters,
                           xds::translate::Context& context, xds::ConfigSources& sources)
    : publisher_(publisher), clusters_(clusters), context_(context), sources_(sources) {}

RouteManager::~RouteManager() = default;

void RouteManager::set_wanted(const std::vector<ResourceRef>& wanted) {
  std::set<std::string> names;
  for (const ResourceRef& ref : wanted) {
    if (!names.insert(ref.name).second || watches_.count(ref.name)) continue;
    watches_[ref.name] = std::make_unique<Watch>(*this, ref);
  }
  for (auto it = watches_.begin(); it != watches_.end();) {
    if (names.count(it->first)) {
      ++it;
      continue;
    }
    if (it->second->entry.table != nullptr) {
      publisher_.post_all([&](size_t) -> ConfigUpdate { return RemoveRoutes{it->first}; });
    }
    it = watches_.erase(it);
  }
}

bool RouteManager::settled(const std::string& name) const {
  auto found = watches_.find(name);
  return found != watches_.end() && found->second->entry.settled;
}

std::map<std::string, const RouteManager::Entry*> RouteManager::entries() const {
  std::map<std::string, const Entry*> out;
  for (const auto& [name, watch] : watches_) out[name] = &watch->entry;
  return out;
}

}  // namespace remora::server
