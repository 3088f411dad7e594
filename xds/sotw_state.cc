// The state-of-the-world variant.
#include "xds/sotw_state.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <utility>

namespace remora::xds {
namespace {

constexpr std::string_view kResourceWrapper =
    "type.googleapis.com/envoy.service.discovery.v3.Resource";

bool is_collection(std::string_view type_url) {
  return type_url == kClusterType || type_url == kListenerType;
}

}  // namespace

std::string name_in(const google::protobuf::Any& body) {
  using google::protobuf::internal::WireFormatLite;
  constexpr uint32_t kNameTag =
      WireFormatLite::MakeTag(1, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(body.value().data()),
                                            static_cast<int>(body.value().size()));
  std::string name;
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t length = 0;
    if (tag != kNameTag) {
      if (!WireFormatLite::SkipField(&in, tag)) return {};
    } else if (!in.ReadVarint32(&length) || !in.ReadString(&name, static_cast<int>(length))) {
      return {};
    }
  }
  return name;
}

Received unwrap(google::protobuf::Any any, std::string_view version) {
  Received received;
  received.version = version;
  envoy::service::discovery::v3::Resource wrapper;
  if (any.type_url() != kResourceWrapper || !any.UnpackTo(&wrapper)) {
    received.name = name_in(any);
    received.body = std::move(any);
    return received;
  }
  received.has_body = wrapper.has_resource();
  received.name = !wrapper.name().empty() ? wrapper.name() : name_in(wrapper.resource());
  if (!wrapper.version().empty()) received.version = wrapper.version();
  if (wrapper.has_ttl()) {
    received.ttl_ms = static_cast<uint64_t>(wrapper.ttl().seconds()) * 1000 +
                      static_cast<uint64_t>(wrapper.ttl().nanos()) / 1'000'000;
  }
  received.body = std::move(*wrapper.mutable_resource());
  return received;
}

SotwState::SotwState(WatchedType& type)
    : type_(type),
      completeness_(is_collection(type.type_url()) ? WatchedType::Completeness::Complete
                                                   : WatchedType::Completeness::Partial) {}

void SotwState::stream_started() {
  first_sent_ = false;
  names_sent_.clear();
  answers_.clear();
  nonce_.clear();
}

/// An empty list means everything there is, as long as no name was ever given on the stream; a star
/// says it always.
std::vector<std::string> SotwState::wanted_names() const {
  std::vector<std::string> names = type_.names();
  if (type_.wildcard() && (!names.empty() || !names_sent_.empty()))
    names.insert(names.begin(), std::string(1, '*'));
  return names;
}

bool SotwState::request_due() const {
  if (!first_sent_) return type_.wanted();
  return !answers_.empty() || wanted_names() != names_sent_;
}

std::unique_ptr<google::protobuf::Message> SotwState::make_request(
    const envoy::config::core::v3::Node* node) {
  auto request = std::make_unique<Request>();
  request->set_type_url(type_.type_url());
  if (node != nullptr) *request->mutable_node() = *node;
  if (!answers_.empty()) {
    Answer answer = std::move(answers_.front());
    answers_.pop_front();
    request->set_response_nonce(std::move(answer.nonce));
    if (answer.error) *request->mutable_error_detail() = std::move(*answer.error);
  } else {
    request->set_response_nonce(nonce_);
  }
  request->set_version_info(version_);
  names_sent_ = wanted_names();
  for (const std::string& name : names_sent_) request->add_resource_names(name);
  first_sent_ = true;
  type_.forget_unwanted();
  return request;
}

void SotwState::on_response(Response response) {
  std::vector<Received> resources;
  std::vector<Reject> rejects;
  for (auto& any : *response.mutable_resources()) {
    Received received = unwrap(std::move(any), response.version_info());
    std::string fault;
    if (received.has_body) fault = envelope_fault(received.body, type_.type_url(), received.name);
    if (!fault.empty()) {
      rejects.push_back({received.name, std::move(fault)});
    } else {
      resources.push_back(std::move(received));
    }
  }
  // What could not even be named might be one that we have: nothing is taken for removed then.
  const auto completeness = rejects.empty() ? completeness_ : WatchedType::Completeness::Partial;
  for (Reject& reject :
       type_.apply(std::move(resources), {}, response.version_info(), completeness)) {
    rejects.push_back(std::move(reject));
  }
  nonce_ = response.nonce();
  Answer& answer = answers_.emplace_back();
  answer.nonce = response.nonce();
  if (rejects.empty()) {
    version_ = response.version_info();
  } else {
    answer.error = error_detail(rejects);
  }
}

}  // namespace remora::xds
