// Streams: reading requests, queueing responses, one write under way at a time.
#include "tools/control_plane/ads_service.h"

#include <deque>
#include <optional>
#include <utility>

#include "spdlog/spdlog.h"
#include "tools/control_plane/sessions.h"

namespace remora::control_plane {
namespace {

// "type.googleapis.com/envoy.config.cluster.v3.Cluster" -> "Cluster"
std::string short_type(const std::string& type_url) {
  return type_url.substr(type_url.rfind('.') + 1);
}

size_t removed_count(const SotwSession::Response&) { return 0; }
size_t removed_count(const DeltaSession::Response& response) {
  return response.removed_resources_size();
}

template <typename Session>
class Stream final
    : public grpc::ServerBidiReactor<typename Session::Request, typename Session::Response>,
      public AdsStream {
 public:
  explicit Stream(AdsService& service) : service_(service) {
    const std::lock_guard lock(service_.mutex);
    service_.opened(*this);
    this->StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(service_.mutex);
    if (!ok) {
      finish();
      return;
    }
    take_request();
    this->StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(service_.mutex);
    responses_.pop_front();
    if (ok && !finished_ && !responses_.empty()) this->StartWrite(&responses_.front());
  }

  void OnDone() override {
    {
      const std::lock_guard lock(service_.mutex);
      service_.closed(*this);
      spdlog::info("{}: stream closed", node_ ? node_->id : "unknown node");
    }
    delete this;
  }

  void catalogue_changed() override {
    if (!node_ || finished_) return;
    view_ = service_.view_for(*node_);
    send(session_.on_view(view_));
  }

 private:
  void take_request() {
    if (!node_) {
      node_ = parse_node(request_.node());
      view_ = service_.view_for(*node_);
      spdlog::info("{}: stream opened", node_->id);
    }
    if (request_.has_error_detail()) {
      spdlog::warn("{}: refused {} with nonce {}: code {}: {}", node_->id,
                   short_type(request_.type_url()), request_.response_nonce(),
                   request_.error_detail().code(), request_.error_detail().message());
    }
    if (!view_.contains(request_.type_url())) {
      spdlog::warn("{}: asks for {}, which is not served", node_->id, request_.type_url());
      return;
    }
    send(session_.on_request(request_, view_));
  }

  void send(std::vector<typename Session::Response> responses) {
    for (auto& response : responses) {
      spdlog::info("{}: {} {} sent, {} removed, nonce {}", node_->id, response.resources_size(),
                   short_type(response.type_url()), removed_count(response), response.nonce());
      responses_.push_back(std::move(response));
      if (responses_.size() == 1) this->StartWrite(&responses_.front());
    }
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    this->Finish(grpc::Status::OK);
  }

  AdsService& service_;
  Session session_;
  std::optional<NodeIdentity> node_;  // known from the first request on
  View view_;
  typename Session::Request request_;
  std::deque<typename Session::Response> responses_;  // the first is being written
  bool finished_ = false;
};

}  // namespace

void AdsService::publish(std::shared_ptr<const Catalogue> catalogue) {
  const std::lock_guard lock(mutex);
  catalogue_ = std::move(catalogue);
  for (AdsStream* stream : streams_) stream->catalogue_changed();
}

grpc::ServerBidiReactor<SotwSession::Request, SotwSession::Response>*
AdsService::StreamAggregatedResources(grpc::CallbackServerContext*) {
  return new Stream<SotwSession>(*this);
}

grpc::ServerBidiReactor<DeltaSession::Request, DeltaSession::Response>*
AdsService::DeltaAggregatedResources(grpc::CallbackServerContext*) {
  return new Stream<DeltaSession>(*this);
}

}  // namespace remora::control_plane
