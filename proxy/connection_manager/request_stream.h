// A stream of the connection manager: checks and completes the request's headers, finds the route
// before the first filter runs, completes the response's headers, counts and logs. Taken from the
// worker's pool for one request and given back. Its worker's thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "proxy/base/snapshot.h"
#include "proxy/http/stream.h"
#include "proxy/router/route_table.h"

namespace remora::connection_manager {

class ConnectionManager;
class StreamPool;

class RequestStream final : public http::Stream {
 public:
  explicit RequestStream(WorkerContext& worker);

  /// A request begins on `owner`'s connection.
  void begin(ConnectionManager& owner, http::StreamSender& sender);
  /// The codec could not understand it.
  void refuse(uint16_t status, std::string_view detail);

  const router::RouteDecision& route_decision() override;
  const router::Route* route() override { return route_decision().route; }
  void clear_route_cache() override { routed_ = false; }
  const void* route_config_of(std::string_view filter_name, std::string_view type) override;

 private:
  void on_request_head(http::HeaderMap& headers, bool end_stream) override;
  void on_restart(bool end_stream) override;
  void add_to_local_reply(std::span<const http::ReplyHeader> own,
                          http::HeaderMap& headers) override;
  void map_local_reply(http::LocalReply& reply, http::HeaderMap& headers) override;
  void on_response_head(http::HeaderMap& headers, bool end_stream) override;
  bool passes_informational() const override;
  void on_stream_deadline(http::StreamDeadline which) override;
  void on_request_paused() override;
  void on_request_resumed() override;
  void on_finished() override;
  void on_idle() override;

  bool refuse_bad_head(http::HeaderMap& headers);
  enum class Admission : uint8_t { Unchanged, Complete, Refused };
  Admission admit_upgrade(http::HeaderMap& headers);
  void answer_expectation(http::HeaderMap& headers);
  http::StreamTimers::Limits limits() const;
  void enter_filters(bool end_stream);
  void apply_route_limits();
  void count_response(uint16_t status);
  void log(http::LogEntry entry);
  void log_periodically();

  WorkerContext& worker_;
  ConnectionManager* owner_ = nullptr;
  Snapshot<router::RouteTable> pinned_;  // when RDS brought the table
  const router::RouteTable* table_ = nullptr;
  router::RouteDecision decision_;
  bool routed_ = false;
  bool malformed_ = false;  // the connection closes after the answer
  std::string scratch_;     // for values that are made of several
  Timer log_timer_;
};

/// A worker's idle streams, and the text of `date`. Owned by the Worker; outlives its connections.
class StreamPool {
 public:
  explicit StreamPool(WorkerContext& worker);
  ~StreamPool();

  RequestStream& take();
  void give_back(RequestStream& stream);

  /// "Mon, 23 Nov 2026 23:34:12 GMT", made anew once per second.
  std::string_view date();

 private:
  static constexpr size_t kMaxIdle = 1024;

  WorkerContext& worker_;
  std::vector<std::unique_ptr<RequestStream>> all_;  // idle ones
  size_t in_use_ = 0;
  int64_t date_second_ = -1;
  std::array<char, 32> date_;
};

}  // namespace remora::connection_manager
