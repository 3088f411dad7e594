// The two variants of the protocol, on top of one notion of subscription.
#include "tools/control_plane/sessions.h"

#include <utility>

namespace remora::control_plane {
namespace {

constexpr const char* kWildcard = "*";

// Of clusters and listeners a client may want all there are; a state-of-the-world response for them
// is complete, and an empty list of names means everything.
bool is_collection(std::string_view type) { return type == kClusterType || type == kListenerType; }

// The resources that a subscription stands for now. Endpoints of a cluster that is gone are nobody,
// rather than unknown.
std::map<std::string, Resource> wanted_resources(const std::string& type,
                                                 const Subscription& subscription,
                                                 const ResourcesByName& all) {
  std::map<std::string, Resource> wanted;
  for (const auto& [name, resource] : all) {
    if (subscription.wants(name)) wanted.emplace(name, resource);
  }
  if (type != kEndpointsType) return wanted;
  for (const std::string& name : subscription.names) {
    if (!wanted.contains(name)) wanted.emplace(name, empty_endpoints(name));
  }
  return wanted;
}

const ResourcesByName* resources_of(const View& view, std::string_view type) {
  const auto found = view.find(type);
  return found == view.end() ? nullptr : &found->second;
}

}  // namespace

// ---- State of the world

std::vector<SotwSession::Response> SotwSession::on_request(const Request& request,
                                                           const View& view) {
  const std::string& type = request.type_url();
  if (resources_of(view, type) == nullptr) return {};
  const auto [entry, first] = subscriptions_.try_emplace(type);
  Subscription& subscription = entry->second;
  // An answer to an older response: what the client wants now comes with its answer to the last.
  if (!first && request.response_nonce() != subscription.nonce) return {};
  subscription.names = {request.resource_names().begin(), request.resource_names().end()};
  subscription.wildcard =
      is_collection(type) && (subscription.names.empty() || subscription.names.contains(kWildcard));
  std::erase_if(subscription.sent,
                [&](const auto& sent) { return !subscription.wants(sent.first); });
  auto responses = due(type, subscription, view);
  if (responses.empty() && first && is_collection(type)) {
    // Nothing there: said once, so that the client does not wait.
    Response nothing;
    nothing.set_type_url(type);
    nothing.set_nonce(std::to_string(++responses_));
    nothing.set_version_info(nothing.nonce());
    subscription.nonce = nothing.nonce();
    responses.push_back(std::move(nothing));
  }
  return responses;
}

std::vector<SotwSession::Response> SotwSession::on_view(const View& view) {
  std::vector<Response> all;
  for (const std::string_view type : kTypesInPushOrder) {
    const auto entry = subscriptions_.find(std::string(type));
    if (entry == subscriptions_.end()) continue;
    for (auto& response : due(entry->first, entry->second, view)) {
      all.push_back(std::move(response));
    }
  }
  return all;
}

std::vector<SotwSession::Response> SotwSession::due(const std::string& type,
                                                    Subscription& subscription, const View& view) {
  const auto wanted = wanted_resources(type, subscription, *resources_of(view, type));
  std::map<std::string, std::string> versions;
  Response response;
  bool changed = false;
  for (const auto& [name, resource] : wanted) {
    const auto before = subscription.sent.find(name);
    const bool differs = before == subscription.sent.end() || before->second != resource.version;
    changed |= differs;
    versions.emplace(name, resource.version);
    if (differs || is_collection(type)) *response.add_resources() = resource.body;
  }
  if (is_collection(type)) changed |= versions.size() != subscription.sent.size();
  if (!changed) return {};
  subscription.sent = std::move(versions);
  response.set_type_url(type);
  response.set_nonce(std::to_string(++responses_));
  response.set_version_info(response.nonce());
  subscription.nonce = response.nonce();
  return {std::move(response)};
}

// ---- Incremental

std::vector<DeltaSession::Response> DeltaSession::on_request(const Request& request,
                                                             const View& view) {
  const std::string& type = request.type_url();
  if (resources_of(view, type) == nullptr) return {};
  const auto [entry, first] = subscriptions_.try_emplace(type);
  subscribe(request, entry->second, first);
  Response response = changes(type, entry->second, view);
  const bool empty = response.resources().empty() && response.removed_resources().empty();
  // The first request is always answered, so that a client that has everything knows it.
  if (empty && !first) return {};
  number(response, entry->second);
  return {std::move(response)};
}

std::vector<DeltaSession::Response> DeltaSession::on_view(const View& view) {
  std::vector<Response> all;
  for (const std::string_view type : kTypesInPushOrder) {
    const auto entry = subscriptions_.find(std::string(type));
    if (entry == subscriptions_.end()) continue;
    Response response = changes(entry->first, entry->second, view);
    if (response.resources().empty() && response.removed_resources().empty()) continue;
    number(response, entry->second);
    all.push_back(std::move(response));
  }
  return all;
}

void DeltaSession::subscribe(const Request& request, Subscription& subscription, bool first) {
  const auto& added = request.resource_names_subscribe();
  if (first) {
    subscription.wildcard = is_collection(request.type_url()) && added.empty();
    subscription.sent = {request.initial_resource_versions().begin(),
                         request.initial_resource_versions().end()};
  }
  for (const std::string& name : added) {
    if (name == kWildcard) {
      subscription.wildcard = true;
      continue;
    }
    subscription.names.insert(name);
    // Asking again for what was sent means that the client wants it again.
    if (!first) subscription.sent.erase(name);
  }
  for (const std::string& name : request.resource_names_unsubscribe()) {
    if (name == kWildcard) subscription.wildcard = false;
    subscription.names.erase(name);
    if (!subscription.wants(name)) subscription.sent.erase(name);
  }
}

DeltaSession::Response DeltaSession::changes(const std::string& type, Subscription& subscription,
                                             const View& view) {
  const auto wanted = wanted_resources(type, subscription, *resources_of(view, type));
  Response response;
  response.set_type_url(type);
  std::map<std::string, std::string> versions;
  for (const auto& [name, resource] : wanted) {
    versions.emplace(name, resource.version);
    const auto before = subscription.sent.find(name);
    if (before != subscription.sent.end() && before->second == resource.version) continue;
    auto* changed = response.add_resources();
    changed->set_name(name);
    changed->set_version(resource.version);
    *changed->mutable_resource() = resource.body;
  }
  // A name that is wanted but does not exist is said to be gone, once: its version stays empty.
  for (const std::string& name : subscription.names) {
    if (!wanted.contains(name)) versions.emplace(name, "");
  }
  for (const auto& [name, version] : versions) {
    if (!version.empty()) continue;
    const auto before = subscription.sent.find(name);
    if (before == subscription.sent.end()) response.add_removed_resources(name);
  }
  for (const auto& [name, version] : subscription.sent) {
    if (!version.empty() && !wanted.contains(name)) response.add_removed_resources(name);
  }
  subscription.sent = std::move(versions);
  return response;
}

void DeltaSession::number(Response& response, Subscription& subscription) {
  response.set_nonce(std::to_string(++responses_));
  response.set_system_version_info(response.nonce());
  subscription.nonce = response.nonce();
}

}  // namespace remora::control_plane
