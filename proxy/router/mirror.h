// Requests to mirrors: copies that go to another cluster and whose answers are thrown away. They
// never hold up the request that they are copies of: what a mirror does not take in time is
// bounded, and a mirror that cannot keep up is given up. They outlive its stream once they are
// complete. Document: envoy.config.route.v3.RouteAction.RequestMirrorPolicy.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/http/codec.h"
#include "proxy/http/filter.h"
#include "proxy/router/route_extras.h"
#include "proxy/router/route_tables.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/http_pool.h"

namespace remora::router {

/// One copy. Owned by itself, and kept by its worker; gone when it is over and its stream has let
/// go of it.
class Mirror final : public Background,
                     private upstream::HttpPoolWaiter,
                     private http::StreamReceiver {
 public:
  struct Limits {
    uint64_t timeout_ms = 0;  // from the end of the request; 0: none
    uint32_t buffer_bytes = 0;
  };

  Mirror(WorkerContext& worker, upstream::Cluster& cluster, const MirrorPolicy& policy,
         const http::StreamInfo& info, const Limits& limits);
  ~Mirror() override;

  /// The head goes out, with nothing to follow it if it is all.
  void start(bool end_stream);
  void send(Buffer& data, bool end_stream);  // shares the bytes
  void send_trailers(const http::HeaderMap& trailers);
  /// Its stream is over, or has nothing more to send.
  void detach();
  void end() override;

  Mirror* next = nullptr;  // of the same stream

 private:
  // HttpPoolWaiter
  void on_pool_ready(upstream::HttpConnection& connection) override;
  void on_pool_failure(upstream::PoolFailure failure, std::string_view detail,
                       const upstream::HostPtr& host) override;
  // http::StreamReceiver
  Arena& arena() override { return arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_trailers(http::HeaderMap& trailers) override;
  void on_reset(http::ResetReason reason, std::string_view detail) override;
  void on_send_high_water() override { blocked_ = true; }
  void on_send_low_water() override;

  void rename(const MirrorPolicy& policy);
  void find_connection();
  void flush();
  void on_request_complete();
  void on_response_complete();
  void on_timeout();
  void on_longest();
  void fail(uint16_t as_status);
  void count(uint16_t status, const http::HeaderMap* response);
  void finish();
  void leave();
  uint64_t now_us() const { return worker_.loop().time().now_us; }

  WorkerContext& worker_;
  const Limits limits_;
  Arena arena_;
  http::HeaderMap headers_;
  http::HeaderMap trailers_;
  upstream::ClusterPin cluster_;
  upstream::ClusterPin member_;  // of an aggregate cluster the one that serves
  upstream::HostPtr host_;
  std::unique_ptr<upstream::PendingRequest> pending_;
  http::StreamSender* sender_ = nullptr;  // null: the codec knows this no more
  Buffer unsent_;
  uint64_t request_end_us_ = 0;
  bool head_sent_ = false;
  bool headers_only_ = false;
  bool has_trailers_ = false;
  bool request_ended_ = false;
  bool all_sent_ = false;
  bool blocked_ = false;  // the connection takes no more for now
  bool answered_ = false;
  bool over_ = false;
  bool detached_ = false;
  Timer timeout_;
  Timer longest_;
};

/// Those of one stream. Costs a pointer while there are none.
class Mirrors {
 public:
  Mirrors() = default;
  ~Mirrors() { detach(); }
  Mirrors(const Mirrors&) = delete;
  Mirrors& operator=(const Mirrors&) = delete;

  bool empty() const { return first_ == nullptr; }
  /// Copies the request's head for each policy that is for it.
  void prepare(const RouteExtras& extras, http::FilterStream& stream, const Mirror::Limits& limits);
  void start(bool end_stream);
  void send(Buffer& data, bool end_stream);
  void send_trailers(const http::HeaderMap& trailers);
  void detach();

 private:
  Mirror* first_ = nullptr;
};

}  // namespace remora::router
