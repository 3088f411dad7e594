// A consumer for tests: writes down what it hears, rejects what it is told to.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "xds/subscription.h"

namespace remora::xds {

struct TestConsumer final : ResourceConsumer {
  std::vector<Reject> on_resources(const Update& update) override {
    ++updates;
    version = update.version;
    std::vector<Reject> rejects;
    for (const ResourcePtr& resource : update.added) {
      said += "+" + resource->name + " ";
      if (bad.contains(resource->name)) {
        rejects.push_back({resource->name, bad[resource->name]});
      } else {
        resources[resource->name] = resource;
      }
    }
    for (const std::string& name : update.removed) {
      said += "-" + name + " ";
      resources.erase(name);
    }
    if (on_update) on_update(update);
    return rejects;
  }
  void on_initial_fetch_timeout() override { ++fetch_timeouts; }
  /// What was said since the last time.
  std::string take() { return std::exchange(said, ""); }

  struct Observer final : SubscriptionObserver {
    explicit Observer(TestConsumer& consumer) : counts(consumer) {}
    void on_attempt() override { ++counts.attempts; }
    void on_failure() override { ++counts.failures; }
    void on_initial_fetch_timeout() override { ++counts.fetch_timeouts_counted; }
    void on_rejected(uint64_t) override { ++counts.rejected; }
    void on_success(std::string_view v, uint64_t, uint64_t, uint64_t) override {
      ++counts.successes;
      counts.accepted_version = v;
    }
    TestConsumer& counts;
  };

  Observer observer{*this};
  std::map<std::string, std::string> bad;
  std::map<std::string, ResourcePtr> resources;
  std::function<void(const Update&)> on_update;
  std::string said, version, accepted_version;
  int updates = 0, fetch_timeouts = 0, fetch_timeouts_counted = 0;
  int attempts = 0, failures = 0, rejected = 0, successes = 0;
};

}  // namespace remora::xds
