// The catalogue: which services exist, where their workloads run, and what policy they carry.
// Read from a folder of YAML files, one service a file (see README.md for the keys). Values only;
// a Catalogue never changes once it is made.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace remora::control_plane {

enum class Protocol { kHttp, kTcp };
enum class Balancing { kRoundRobin, kLeastRequest };

// What a service's sidecars accept: plain text only, both, or mutual TLS only. The strictest last.
enum class MutualTls { kDisable, kPermissive, kStrict };

struct Port {
  uint32_t port = 0;         // what clients call, on the service's addresses
  uint32_t target_port = 0;  // where the workload listens
  Protocol protocol = Protocol::kTcp;
};

// One running copy of a service.
struct Workload {
  std::string node;  // id of its sidecar; empty: the sidecar whose id carries `address`
  std::string address;
  std::string host;  // the machine, the finest part of the locality
  std::string zone;
  std::string region;
  uint32_t weight = 1;
  bool ready = true;    // otherwise it is configured, but gets no traffic
  bool sidecar = true;  // otherwise it is called in plain text
};

struct CircuitBreakers {
  std::optional<uint32_t> max_connections;
  std::optional<uint32_t> max_pending_requests;
  std::optional<uint32_t> max_requests;
  std::optional<uint32_t> max_retries;
};

struct Policy {
  std::optional<std::chrono::milliseconds> timeout;  // of a whole request; absent: none
  std::chrono::milliseconds connect_timeout{10'000};
  Balancing balancing = Balancing::kLeastRequest;
  CircuitBreakers circuit_breakers;
};

// Matches a call that fits each list; an empty list fits everything.
struct AccessRule {
  std::vector<std::string> principals;  // SPIFFE ids
  std::vector<std::string> methods;
  std::vector<std::string> paths;  // whole paths, or prefixes with a "*" at the end
};

// A call is served when one of the rules matches it: without rules none is.
using Authorization = std::vector<AccessRule>;

struct Service {
  std::string name;
  std::string service_namespace;
  std::vector<std::string> vips;
  std::vector<Port> ports;
  std::vector<Workload> workloads;
  Policy policy;
  std::string account;  // of its workloads; empty: they can't prove who they are
  MutualTls mtls = MutualTls::kDisable;
  std::optional<Authorization> authorization;  // absent: every call is served

  std::string fqdn() const { return name + "." + service_namespace + ".svc.cluster.local"; }
};

inline constexpr std::string_view kTrustDomain = "spiffe://cluster.local/";

// The identity that certificates of a service account carry.
std::string spiffe_id(std::string_view account_namespace, std::string_view account);

struct Catalogue {
  std::map<std::string, Service> services;  // by fully qualified name
};

// Reads one service. Unknown keys and values out of range are errors that name the key.
absl::StatusOr<Service> parse_service(std::string_view yaml);

// Reads a folder again and again. A file that can't be read keeps the service it last gave, so that
// a bad edit takes nothing away from the mesh.
class CatalogueFolder {
 public:
  explicit CatalogueFolder(std::string path) : path_(std::move(path)) {}

  struct Reading {
    std::shared_ptr<const Catalogue> catalogue;
    std::vector<std::string> complaints;  // one for each file that was not understood
  };

  Reading read();

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::map<std::string, Service> last_good_;  // by file name
};

}  // namespace remora::control_plane
