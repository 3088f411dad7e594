// For tests of this room: endpoints and assignments in few words.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/upstream/host_set.h"

namespace remora::upstream::testing {

inline EndpointConfig endpoint(const std::string& ip, uint16_t port = 80, uint32_t weight = 1,
                               Health health = Health::Healthy) {
  EndpointConfig config;
  config.address = *Address::from_ip(ip, port);
  config.weight = weight;
  config.health = health;
  return config;
}

inline LocalityEndpoints locality(std::vector<EndpointConfig> endpoints, std::string zone = "",
                                  uint32_t weight = 0, uint32_t priority = 0) {
  LocalityEndpoints group;
  group.locality.zone = std::move(zone);
  group.weight = weight;
  group.priority = priority;
  for (EndpointConfig& endpoint : endpoints) group.add(std::move(endpoint));
  return group;
}

inline LoadAssignment assignment(std::vector<LocalityEndpoints> localities) {
  LoadAssignment result;
  result.localities = std::move(localities);
  return result;
}

/// `healthy` and `degraded` endpoints and `unhealthy` ones with addresses of their own, for one
/// locality.
inline LocalityEndpoints mixed(int healthy, int degraded, int unhealthy, uint32_t priority = 0,
                               std::string zone = "", uint32_t weight = 0) {
  std::vector<EndpointConfig> endpoints;
  const std::string net =
      "10." + std::to_string(priority) + "." + std::to_string(zone.size() + weight) + ".";
  auto add = [&](int count, Health health) {
    for (int i = 0; i < count; ++i) {
      endpoints.push_back(endpoint(net + std::to_string(endpoints.size() + 1), 80, 1, health));
    }
  };
  add(healthy, Health::Healthy);
  add(degraded, Health::Degraded);
  add(unhealthy, Health::Unhealthy);
  return locality(std::move(endpoints), std::move(zone), weight, priority);
}

}  // namespace remora::upstream::testing
