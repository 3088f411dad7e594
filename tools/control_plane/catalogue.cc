// Parsing of the catalogue's YAML. yaml-cpp throws; nothing thrown leaves this file.
#include "tools/control_plane/catalogue.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "yaml-cpp/yaml.h"

namespace remora::control_plane {
namespace {

constexpr uint32_t kMaxPort = 65535;
constexpr uint32_t kMaxWeight = 10'000;
constexpr std::string_view kSuffix = ".yaml";

// What is wrong and where; caught in parse_service.
struct BadCatalogue : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void allow_only(const YAML::Node& map, const std::string& where,
                std::initializer_list<std::string_view> keys) {
  if (!map.IsMap()) throw BadCatalogue(where + ": a map is wanted");
  for (const auto& entry : map) {
    const auto key = entry.first.as<std::string>();
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      throw BadCatalogue(where + ": unknown key \"" + key + "\"");
    }
  }
}

std::string text(const YAML::Node& map, const std::string& where, const char* key) {
  const YAML::Node node = map[key];
  if (!node) return "";
  if (!node.IsScalar()) throw BadCatalogue(where + "." + key + ": a string is wanted");
  return node.as<std::string>();
}

std::string required_text(const YAML::Node& map, const std::string& where, const char* key) {
  std::string value = text(map, where, key);
  if (value.empty()) throw BadCatalogue(where + "." + key + ": missing");
  return value;
}

std::optional<uint32_t> number(const YAML::Node& map, const std::string& where, const char* key,
                               uint32_t max) {
  if (!map[key]) return std::nullopt;
  const std::string digits = text(map, where, key);
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value > max) {
    throw BadCatalogue(where + "." + key + ": \"" + digits + "\" is not a number up to " +
                       std::to_string(max));
  }
  return value;
}

// "250ms", "5s": a whole number and a unit.
std::optional<std::chrono::milliseconds> duration(const YAML::Node& map, const std::string& where,
                                                  const char* key) {
  if (!map[key]) return std::nullopt;
  const std::string value = text(map, where, key);
  uint32_t count = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  const std::string_view unit(end, value.data() + value.size() - end);
  if (error == std::errc() && unit == "ms") return std::chrono::milliseconds(count);
  if (error == std::errc() && unit == "s") return std::chrono::seconds(count);
  throw BadCatalogue(where + "." + key + ": \"" + value + "\" is not a duration like 250ms or 5s");
}

// True unless it says otherwise.
bool flag(const YAML::Node& map, const std::string& where, const char* key) {
  const std::string value = text(map, where, key);
  if (!value.empty() && value != "true" && value != "false") {
    throw BadCatalogue(where + "." + key + ": \"" + value + "\" is neither true nor false");
  }
  return value != "false";
}

std::string checked_address(std::string address, const std::string& where) {
  in6_addr scratch;
  const bool valid = inet_pton(AF_INET, address.c_str(), &scratch) == 1 ||
                     inet_pton(AF_INET6, address.c_str(), &scratch) == 1;
  if (!valid) throw BadCatalogue(where + ": \"" + address + "\" is not an IP address");
  return address;
}

Port parse_port(const YAML::Node& node, const std::string& where) {
  allow_only(node, where, {"port", "target_port", "protocol"});
  Port port;
  port.port = number(node, where, "port", kMaxPort).value_or(0);
  if (port.port == 0) throw BadCatalogue(where + ".port: missing");
  port.target_port = number(node, where, "target_port", kMaxPort).value_or(port.port);
  const std::string protocol = required_text(node, where, "protocol");
  if (protocol == "http") {
    port.protocol = Protocol::kHttp;
  } else if (protocol != "tcp") {
    throw BadCatalogue(where + ".protocol: \"" + protocol + "\" is neither http nor tcp");
  }
  return port;
}

Workload parse_workload(const YAML::Node& node, const std::string& where) {
  allow_only(node, where,
             {"node", "address", "host", "zone", "region", "weight", "ready", "sidecar"});
  Workload workload;
  workload.node = text(node, where, "node");
  workload.address = checked_address(required_text(node, where, "address"), where + ".address");
  workload.host = text(node, where, "host");
  workload.zone = text(node, where, "zone");
  workload.region = text(node, where, "region");
  workload.weight = number(node, where, "weight", kMaxWeight).value_or(1);
  if (workload.weight == 0) throw BadCatalogue(where + ".weight: at least 1");
  workload.ready = flag(node, where, "ready");
  workload.sidecar = flag(node, where, "sidecar");
  return workload;
}

CircuitBreakers parse_circuit_breakers(const YAML::Node& node, const std::string& where) {
  allow_only(node, where,
             {"max_connections", "max_pending_requests", "max_requests", "max_retries"});
  return {.max_connections = number(node, where, "max_connections", UINT32_MAX),
          .max_pending_requests = number(node, where, "max_pending_requests", UINT32_MAX),
          .max_requests = number(node, where, "max_requests", UINT32_MAX),
          .max_retries = number(node, where, "max_retries", UINT32_MAX)};
}

Policy parse_policy(const YAML::Node& node, const std::string& where) {
  allow_only(node, where, {"timeout", "connect_timeout", "lb", "circuit_breakers"});
  Policy policy;
  policy.timeout = duration(node, where, "timeout");
  policy.connect_timeout =
      duration(node, where, "connect_timeout").value_or(policy.connect_timeout);
  const std::string balancing = text(node, where, "lb");
  if (balancing == "round_robin") {
    policy.balancing = Balancing::kRoundRobin;
  } else if (!balancing.empty() && balancing != "least_request") {
    throw BadCatalogue(where + ".lb: \"" + balancing +
                       "\" is neither round_robin nor least_request");
  }
  if (node["circuit_breakers"]) {
    policy.circuit_breakers =
        parse_circuit_breakers(node["circuit_breakers"], where + ".circuit_breakers");
  }
  return policy;
}

// Calls `parse(item, "key[i]")` for each item of an optional list.
template <typename Parse>
void for_each_item(const YAML::Node& map, const std::string& key, Parse parse) {
  const YAML::Node list = map[key];
  if (!list) return;
  if (!list.IsSequence()) throw BadCatalogue(key + ": a list is wanted");
  for (size_t i = 0; i < list.size(); ++i) parse(list[i], key + "[" + std::to_string(i) + "]");
}

MutualTls parse_mtls(const YAML::Node& root) {
  const std::string mode = text(root, "service", "mtls");
  if (mode == "STRICT") return MutualTls::kStrict;
  if (mode == "PERMISSIVE") return MutualTls::kPermissive;
  if (mode.empty() || mode == "DISABLE") return MutualTls::kDisable;
  throw BadCatalogue("mtls: \"" + mode + "\" is none of STRICT, PERMISSIVE and DISABLE");
}

// "NAMESPACE/ACCOUNT", as the identity that its certificates carry.
std::string parse_principal(const std::string& principal, const std::string& where) {
  const size_t slash = principal.find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == principal.size() ||
      principal.find('/', slash + 1) != std::string::npos) {
    throw BadCatalogue(where + ": \"" + principal + "\" is not NAMESPACE/ACCOUNT");
  }
  return spiffe_id(principal.substr(0, slash), principal.substr(slash + 1));
}

std::string parse_path(const std::string& path, const std::string& where) {
  const size_t star = path.find('*');
  if (!path.starts_with('/') || (star != std::string::npos && star + 1 != path.size())) {
    throw BadCatalogue(where + ": \"" + path + "\" is neither a path nor a path and \"*\"");
  }
  return path;
}

std::string parse_method(const std::string& method, const std::string& where) {
  if (method.empty()) throw BadCatalogue(where + ": empty");
  return method;
}

// A list that is there but empty would match everything, which nobody means.
template <typename Parse>
std::vector<std::string> parse_list(const YAML::Node& map, const std::string& where,
                                    const std::string& key, Parse parse) {
  std::vector<std::string> values;
  const YAML::Node list = map[key];
  if (!list) return values;
  const std::string here = where + "." + key;
  if (!list.IsSequence() || list.size() == 0) throw BadCatalogue(here + ": a list is wanted");
  for (size_t i = 0; i < list.size(); ++i) {
    values.push_back(parse(list[i].as<std::string>(), here + "[" + std::to_string(i) + "]"));
  }
  return values;
}

AccessRule parse_rule(const YAML::Node& node, const std::string& where) {
  allow_only(node, where, {"principals", "methods", "paths"});
  if (node.size() == 0) throw BadCatalogue(where + ": principals, methods or paths are wanted");
  return {.principals = parse_list(node, where, "principals", parse_principal),
          .methods = parse_list(node, where, "methods", parse_method),
          .paths = parse_list(node, where, "paths", parse_path)};
}

bool speaks_only_http(const Service& service) {
  return std::all_of(service.ports.begin(), service.ports.end(),
                     [](const Port& port) { return port.protocol == Protocol::kHttp; });
}

// What could not be kept is not promised.
void check_security(const Service& service) {
  if (service.mtls != MutualTls::kDisable && service.account.empty()) {
    throw BadCatalogue("mtls: account: missing");
  }
  for (size_t i = 0; i < service.workloads.size(); ++i) {
    if (service.mtls == MutualTls::kStrict && !service.workloads[i].sidecar) {
      throw BadCatalogue("workloads[" + std::to_string(i) +
                         "].sidecar: mtls is STRICT, which needs one");
    }
  }
  if (!service.authorization) return;
  for (size_t i = 0; i < service.authorization->size(); ++i) {
    const AccessRule& rule = (*service.authorization)[i];
    const std::string where = "authorization[" + std::to_string(i) + "]";
    if (!rule.principals.empty() && service.mtls == MutualTls::kDisable) {
      throw BadCatalogue(where + ".principals: mtls is DISABLE, nobody proves who they are");
    }
    if ((!rule.methods.empty() || !rule.paths.empty()) && !speaks_only_http(service)) {
      throw BadCatalogue(where + ": methods and paths are of HTTP, and a port is tcp");
    }
  }
}

Service service_from(const YAML::Node& root) {
  allow_only(root, "service",
             {"name", "namespace", "vips", "ports", "workloads", "policy", "account", "mtls",
              "authorization"});
  Service service;
  service.name = required_text(root, "service", "name");
  service.service_namespace = required_text(root, "service", "namespace");
  for_each_item(root, "vips", [&](const YAML::Node& item, const std::string& where) {
    service.vips.push_back(checked_address(item.as<std::string>(), where));
  });
  for_each_item(root, "ports", [&](const YAML::Node& item, const std::string& where) {
    service.ports.push_back(parse_port(item, where));
  });
  for_each_item(root, "workloads", [&](const YAML::Node& item, const std::string& where) {
    service.workloads.push_back(parse_workload(item, where));
  });
  if (root["policy"]) service.policy = parse_policy(root["policy"], "policy");
  if (service.ports.empty()) throw BadCatalogue("ports: at least one is wanted");
  service.account = text(root, "service", "account");
  service.mtls = parse_mtls(root);
  if (root["authorization"]) service.authorization.emplace();
  for_each_item(root, "authorization", [&](const YAML::Node& item, const std::string& where) {
    service.authorization->push_back(parse_rule(item, where));
  });
  check_security(service);
  return service;
}

absl::StatusOr<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream bytes;
  if (!stream || !(bytes << stream.rdbuf())) {
    return absl::UnavailableError("can't be read, or is empty");
  }
  return std::move(bytes).str();
}

std::vector<std::filesystem::path> service_files(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(kSuffix) && !name.starts_with('.')) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::string spiffe_id(std::string_view account_namespace, std::string_view account) {
  std::string id(kTrustDomain);
  id.append("ns/").append(account_namespace).append("/sa/").append(account);
  return id;
}

absl::StatusOr<Service> parse_service(std::string_view yaml) {
  try {
    return service_from(YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(error.what());
  } catch (const BadCatalogue& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

CatalogueFolder::Reading CatalogueFolder::read() {
  Reading reading;
  std::map<std::string, Service> now;
  for (const auto& file : service_files(path_)) {
    const std::string name = file.filename().string();
    const auto bytes = read_file(file);
    auto service = bytes.ok() ? parse_service(*bytes) : absl::StatusOr<Service>(bytes.status());
    if (service.ok()) {
      now.emplace(name, *std::move(service));
      continue;
    }
    reading.complaints.push_back(name + ": " + std::string(service.status().message()));
    const auto before = last_good_.find(name);
    if (before != last_good_.end()) now.insert(*before);
  }
  last_good_ = std::move(now);
  auto catalogue = std::make_shared<Catalogue>();
  for (const auto& [file, service] : last_good_) {
    if (!catalogue->services.emplace(service.fqdn(), service).second) {
      reading.complaints.push_back(file + ": " + service.fqdn() + " is in another file already");
    }
  }
  reading.catalogue = std::move(catalogue);
  return reading;
}

}  // namespace remora::control_plane
