// Fetches one document over a cluster with GET: one attempt, within a time and a size. Owned by
// whoever wants it; destroying it cancels. Its thread's own clusters (of the main thread, for what
// is fetched in the background).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/timer_wheel.h"
#include "proxy/http/codec.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/http_pool.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

struct FetchRequest {
  std::string cluster;
  std::string authority;
  std::string path;
  uint64_t timeout_ms = 0;
  size_t max_body_bytes = 0;
};

struct FetchResult {
  uint16_t status = 0;  // 0: no answer
  std::string body;     // whole, or empty
  std::string failure;  // why there is no whole answer; empty: there is
};

class HttpFetch final : private HttpPoolWaiter, private http::StreamReceiver {
 public:
  /// Called once, from the loop; may destroy the fetch.
  using Done = std::function<void(FetchResult result)>;

  HttpFetch(WorkerContext& context, FetchRequest request, Done done);
  ~HttpFetch();

 private:
  void start();
  void send(HttpConnection& connection);
  void finish(std::string_view failure);
  void on_timeout();
  void tell();

  // HttpPoolWaiter
  void on_pool_ready(HttpConnection& connection) override;
  void on_pool_failure(PoolFailure failure, std::string_view detail, const HostPtr& host) override;
  // http::StreamReceiver
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_trailers(http::HeaderMap& trailers) override;
  void on_reset(http::ResetReason reason, std::string_view detail) override;

  WorkerContext& context_;
  const FetchRequest request_;
  Done done_;
  FetchResult result_;
  Arena arena_;
  ClusterPin cluster_;
  std::unique_ptr<PendingRequest> pending_;
  http::StreamSender* sender_ = nullptr;  // null: the codec knows this no more
  bool finished_ = false;
  Timer timeout_;
  Timer telling_;  // results are told in a turn of their own, with nothing else on the stack
};

}  // namespace remora::upstream
