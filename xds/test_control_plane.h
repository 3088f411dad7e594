// A control plane for tests, on gRPC's own library: what clients ask is queued for the test, what
// the test says is sent. gRPC's threads and the test's meet at one mutex.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>

#include "api/ads.grpc.pb.h"

namespace remora::xds {

class TestControlPlane final
    : public envoy::service::discovery::v3::AggregatedDiscoveryService::Service {
 public:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;
  using Response = envoy::service::discovery::v3::DiscoveryResponse;
  using DeltaRequest = envoy::service::discovery::v3::DeltaDiscoveryRequest;
  using DeltaResponse = envoy::service::discovery::v3::DeltaDiscoveryResponse;

  /// `address` as gRPC wants it: "unix:/tmp/x.sock".
  explicit TestControlPlane(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~TestControlPlane() override { server_->Shutdown(std::chrono::system_clock::now()); }

  bool started() const { return server_ != nullptr; }
  std::optional<Request> take_request() { return take(requests_); }
  std::optional<DeltaRequest> take_delta_request() { return take(delta_requests_); }
  void send(const Response& response) {
    std::lock_guard lock(mutex_);
    stream_->Write(response);
  }
  void send(const DeltaResponse& response) {
    std::lock_guard lock(mutex_);
    delta_stream_->Write(response);
  }
  /// Ends the stream that is open with `status`.
  void end_stream(grpc::Status status) {
    std::lock_guard lock(mutex_);
    end_with_ = status;
    context_->TryCancel();
  }
  /// Streams opened from now on end at once with `status`.
  void refuse(std::optional<grpc::Status> status) {
    std::lock_guard lock(mutex_);
    refuse_with_ = std::move(status);
  }
  std::string metadata(const std::string& name) {
    std::lock_guard lock(mutex_);
    return metadata_[name];
  }
  int streams() {
    std::lock_guard lock(mutex_);
    return streams_;
  }

 private:
  template <class T>
  std::optional<T> take(std::deque<T>& queue) {
    std::lock_guard lock(mutex_);
    if (queue.empty()) return std::nullopt;
    T first = std::move(queue.front());
    queue.pop_front();
    return first;
  }
  template <class Stream, class R>
  grpc::Status serve(grpc::ServerContext* context, Stream* stream, Stream*& slot,
                     std::deque<R>& queue) {
    {
      std::lock_guard lock(mutex_);
      ++streams_;
      if (refuse_with_) return *refuse_with_;
      slot = stream;
      context_ = context;
      end_with_ = grpc::Status::OK;
      for (auto& [name, value] : context->client_metadata()) {
        metadata_[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
      }
      metadata_["peer"] = context->peer();
      metadata_[":authority"] = std::string(context->ExperimentalGetAuthority().data(),
                                            context->ExperimentalGetAuthority().size());
    }
    stream->SendInitialMetadata();
    for (R request; stream->Read(&request);) {
      std::lock_guard lock(mutex_);
      queue.push_back(request);
    }
    std::lock_guard lock(mutex_);
    slot = nullptr;
    context_ = nullptr;
    return end_with_;
  }
  grpc::Status StreamAggregatedResources(
      grpc::ServerContext* context, grpc::ServerReaderWriter<Response, Request>* stream) override {
    return serve(context, stream, stream_, requests_);
  }
  grpc::Status DeltaAggregatedResources(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<DeltaResponse, DeltaRequest>* stream) override {
    return serve(context, stream, delta_stream_, delta_requests_);
  }

  std::mutex mutex_;
  std::deque<Request> requests_;
  std::deque<DeltaRequest> delta_requests_;
  grpc::ServerReaderWriter<Response, Request>* stream_ = nullptr;
  grpc::ServerReaderWriter<DeltaResponse, DeltaRequest>* delta_stream_ = nullptr;
  grpc::ServerContext* context_ = nullptr;
  grpc::Status end_with_;
  std::optional<grpc::Status> refuse_with_;
  std::map<std::string, std::string> metadata_;
  int streams_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace remora::xds
