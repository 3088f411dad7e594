// A consumer for tests: writes down what it hears, rejects what it is told to.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "xds/subscription.h"

namespace remora::xds {

struct TestConsumer final : ResourceConsumer, SubscriptionObserver {
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
  void on_fetch_timeout() override { ++fetch_timeouts_counted; }
  void on_attempt() override { ++attempts; }
  void on_failure() override { ++failures; }
  void on_rejected(uint64_t) override { ++rejected; }
  void on_success(std::string_view v, uint64_t, uint64_t, uint64_t) override {
    ++successes;
    accepted_version = v;
  }
  /// What was said since the last time.
  std::string take() { return std::exchange(said, ""); }

  std::map<std::string, std::string> bad;
  std::map<std::string, ResourcePtr> resources;
  std::function<void(const Update&)> on_update;
  std::string said, version, accepted_version;
  int updates = 0, fetch_timeouts = 0, fetch_timeouts_counted = 0, attempts = 0, failures = 0,
      rejected = 0, successes = 0;
};

}  // namespace remora::xds
