// The incremental variant.
#include "xds/delta_state.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace remora::xds {
namespace {

std::vector<std::string> minus(const std::vector<std::string>& all,
                               const std::vector<std::string>& some) {
  std::vector<std::string> rest;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(rest));
  return rest;
}

}  // namespace

void DeltaState::stream_started() {
  first_sent_ = false;
  legacy_wildcard_ = false;
  names_sent_.clear();
  answers_.clear();
}

/// Sorted. A star stands for everything, unless the stream began by asking for everything without
/// saying so.
std::vector<std::string> DeltaState::wanted_names() const {
  std::vector<std::string> names = type_.names();
  if (type_.wildcard() && !legacy_wildcard_) {
    const std::string star(1, '*');
    names.insert(std::lower_bound(names.begin(), names.end(), star), star);
  }
  return names;
}

bool DeltaState::request_due() const {
  if (!first_sent_) return type_.wanted();
  if (!answers_.empty() || (legacy_wildcard_ && !type_.wildcard())) return true;
  return wanted_names() != names_sent_;
}

std::unique_ptr<google::protobuf::Message> DeltaState::make_request(
    const envoy::config::core::v3::Node* node) {
  auto request = std::make_unique<Request>();
  request->set_type_url(type_.type_url());
  if (node != nullptr) *request->mutable_node() = *node;
  if (!first_sent_) {
    fill_first(*request);
  } else if (!answers_.empty()) {
    // By itself: a control plane that has sent more since ignores an answer with an old nonce, and
    // would ignore changes that came with it.
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    request->set_response_nonce(std::move(answer.nonce));
    if (answer.error) *request->mutable_error_detail() = std::move(*answer.error);
  } else {
    fill_changes(*request);
  }
  return request;
}

void DeltaState::fill_first(Request& request) {
  first_sent_ = true;
  legacy_wildcard_ = type_.wildcard() && type_.names().empty();
  names_sent_ = wanted_names();
  for (const std::string& name : names_sent_) request.add_resource_names_subscribe(name);
  type_.forget_unwanted();
  for (auto& [name, version] : type_.versions()) {
    (*request.mutable_initial_resource_versions())[name] = version;
  }
}

void DeltaState::fill_changes(Request& request) {
  const std::vector<std::string> wanted = wanted_names();
  for (std::string& name : minus(wanted, names_sent_))
    request.add_resource_names_subscribe(std::move(name));
  for (std::string& name : minus(names_sent_, wanted))
    request.add_resource_names_unsubscribe(std::move(name));
  if (legacy_wildcard_ && !type_.wildcard()) {
    request.add_resource_names_unsubscribe(std::string(1, '*'));
    legacy_wildcard_ = false;
  }
  names_sent_ = wanted_names();
  type_.forget_unwanted();
}

void DeltaState::on_response(Response response) {
  std::vector<Received> resources;
  std::vector<Reject> rejects;
  for (auto& resource : *response.mutable_resources()) {
    std::string fault;
    if (resource.has_resource())
      fault = envelope_fault(resource.resource(), type_.type_url(), resource.name());
    if (!fault.empty()) {
      rejects.push_back({resource.name(), std::move(fault)});
      continue;
    }
    Received& received = resources.emplace_back();
    received.name = std::move(*resource.mutable_name());
    received.version = std::move(*resource.mutable_version());
    received.has_body = resource.has_resource();
    if (resource.has_ttl()) {
      received.ttl_ms = static_cast<uint64_t>(resource.ttl().seconds()) * 1000 +
                        static_cast<uint64_t>(resource.ttl().nanos()) / 1'000'000;
    }
    received.body = std::move(*resource.mutable_resource());
  }
  std::vector<std::string> removed(response.removed_resources().begin(),
                                   response.removed_resources().end());
  for (Reject& reject :
       type_.apply(std::move(resources), std::move(removed), response.system_version_info(),
                   WatchedType::Completeness::Partial)) {
    rejects.push_back(std::move(reject));
  }
  Answer& answer = answers_.emplace_back();
  answer.nonce = response.nonce();
  if (!rejects.empty()) answer.error = error_detail(rejects);
}

}  // namespace remora::xds
