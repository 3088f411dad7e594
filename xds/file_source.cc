// Watching a directory and reading a file.
#include "xds/file_source.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "proxy/base/log.h"
#include "xds/sotw_state.h"
#include "xds/translate/yaml_json.h"
#include "xds/type_protocol.h"

namespace remora::xds {
namespace {

using envoy::service::discovery::v3::DiscoveryResponse;

std::string file_name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_collection(std::string_view type_url) {
  return type_url == kClusterType || type_url == kListenerType;
}

}  // namespace

absl::StatusOr<DiscoveryResponse> read_discovery_response(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(path + ": " + std::strerror(errno));
  std::stringstream content;
  content << file.rdbuf();
  const std::string text = std::move(content).str();
  DiscoveryResponse response;
  if (path.ends_with(".pb")) {
    if (!response.ParseFromString(text))
      return absl::InvalidArgumentError(path + ": not a DiscoveryResponse");
    return response;
  }
  // Unknown fields of the envelope are refused here; those inside resources are the business of
  // whoever compiles them.
  absl::Status unknown;
  const absl::Status parsed = translate::text_to_message(
      text, translate::syntax_of(path), &response, [&](const translate::Unknown& found) {
        if (unknown.ok())
          unknown = absl::InvalidArgumentError(path + ": " + found.path + ": " + found.what);
      });
  if (!parsed.ok()) return absl::InvalidArgumentError(path + ": " + std::string(parsed.message()));
  if (!unknown.ok()) return unknown;
  return response;
}

FileSource::FileSource(EventLoop& loop, const ConfigSource& source, std::string_view type_url)
    : path_(source.path),
      directory_(source.watched_directory.empty() ? directory_of(source.path)
                                                  : source.watched_directory),
      file_name_(source.watched_directory.empty() ? file_name_of(source.path) : ""),
      type_(std::string(type_url), loop.timers(), *this),
      reading_(loop.timers(), Timer::bind<&FileSource::read, FileSource>(), this),
      watch_(loop, directory_, [this](const std::string& name) {
        if (file_name_.empty() || file_name_ == name) reading_.arm(0);
      }) {}

std::unique_ptr<Subscription> FileSource::subscribe(const SubscribeOptions& options,
                                                    ResourceConsumer& consumer) {
  reading_.arm(0);
  return type_.subscribe(options, consumer);
}

void FileSource::read() {
  auto response = read_discovery_response(path_);
  if (!response.ok()) {
    LOG_WARNING(config, "{}", std::string(response.status().message()));
    if (absl::IsNotFound(response.status())) {
      type_.source_failed();
    } else {
      type_.apply_unusable();
    }
    return;
  }
  std::vector<Received> resources;
  for (auto& any : *response->mutable_resources()) {
    Received received = unwrap(std::move(any), response->version_info());
    const std::string fault = envelope_fault(received.body, type_.type_url(), received.name);
    if (!fault.empty()) {
      LOG_WARNING(config, "{}: {}: {}", path_, received.name, fault);
      type_.apply_unusable();
      return;
    }
    resources.push_back(std::move(received));
  }
  const auto completeness = is_collection(type_.type_url()) ? WatchedType::Completeness::Complete
                                                            : WatchedType::Completeness::Partial;
  for (const Reject& reject :
       type_.apply(std::move(resources), {}, response->version_info(), completeness)) {
    LOG_WARNING(config, "{}: {}: {}", path_, reject.resource, reject.reason);
  }
}

}  // namespace remora::xds
