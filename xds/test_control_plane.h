// A control plane for tests, on gRPC's own library: what clients ask is queued for the test, what
// the test says is sent. gRPC's threads and the test's meet at one mutex.
#pragma once

#include <grpc/grpc.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

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
    static const bool kept = [] {
      grpc_init();  // for the process: gRPC may take seconds to shut down with its last server
      return true;
    }();
    (void)kept;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~TestControlPlane() override { server_->Shutdown(std::chrono::system_clock::now()); }

  bool started() const { return server_ != nullptr; }
  std::optional<Request> take_request() { return take(requests_); }
  std::optional<DeltaRequest> take_delta_request() { return take(delta_requests_); }
  /// Sent on the open stream by a thread of its own, since a write may wait for the client to read.
  void send(const Response& response) { send_later(responses_, response); }
  void send(const DeltaResponse& response) { send_later(delta_responses_, response); }
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
  template <class R>
  void send_later(std::deque<R>& queue, const R& response) {
    std::lock_guard lock(mutex_);
    queue.push_back(response);
    changed_.notify_all();
  }
  template <class Stream, class Out>
  void write_all(Stream* stream, std::deque<Out>& responses, const bool& open) {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !open || !responses.empty(); });
      if (!open) return;
      const Out response = std::move(responses.front());
      responses.pop_front();
      lock.unlock();
      stream->Write(response);
      lock.lock();
    }
  }
  template <class Stream, class In, class Out>
  grpc::Status serve(grpc::ServerContext* context, Stream* stream, std::deque<In>& requests,
                     std::deque<Out>& responses) {
    {
      std::lock_guard lock(mutex_);
      ++streams_;
      if (refuse_with_) return *refuse_with_;
      for (auto& [name, value] : context->client_metadata()) {
        metadata_[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
      }
      metadata_[":authority"] = std::string(context->ExperimentalGetAuthority().data(),
                                            context->ExperimentalGetAuthority().size());
    }
    stream->SendInitialMetadata();
    bool open = true;
    std::thread writer([&] { write_all(stream, responses, open); });
    for (In request; stream->Read(&request);) {
      std::lock_guard lock(mutex_);
      requests.push_back(request);
    }
    {
      std::lock_guard lock(mutex_);
      open = false;
      changed_.notify_all();
    }
    writer.join();
    return grpc::Status::OK;
  }
  grpc::Status StreamAggregatedResources(
      grpc::ServerContext* context, grpc::ServerReaderWriter<Response, Request>* stream) override {
    return serve(context, stream, requests_, responses_);
  }
  grpc::Status DeltaAggregatedResources(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<DeltaResponse, DeltaRequest>* stream) override {
    return serve(context, stream, delta_requests_, delta_responses_);
  }

  std::mutex mutex_;
  std::deque<Request> requests_;
  std::deque<DeltaRequest> delta_requests_;
  std::deque<Response> responses_;
  std::deque<DeltaResponse> delta_responses_;
  std::condition_variable changed_;
  std::optional<grpc::Status> refuse_with_;
  std::map<std::string, std::string> metadata_;
  int streams_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace remora::xds
