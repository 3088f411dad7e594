// Asks one host whether it is well, over a connection of its own that no pool and no limit knows.
// Owned by the HealthChecker's session for the host; main thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proxy/base/timer_wheel.h"
#include "proxy/http/codec.h"
#include "proxy/upstream/cluster_config.h"
#include "proxy/upstream/health_check_config.h"
#include "proxy/upstream/host_set.h"
#include "proxy/upstream/worker_context.h"

namespace remora::upstream {

struct CheckResult {
  enum class Kind : uint8_t {
    Healthy,
    Degraded,
    Failed,     // it said so
    Retriable,  // it said so, in a way that may pass
    Network,    // it could not be reached, or broke off
    Timeout,    // found by who waits
  };
  Kind kind = Kind::Healthy;
  bool excludes = false;       // it asked to be left out at once
  bool asked_service = false;  // it was held against the name that is expected
  uint16_t status = 0;         // of an answer by HTTP
};

class HealthProbe {
 public:
  virtual ~HealthProbe() = default;
  /// What comes of it is told once, from the loop.
  virtual void start() = 0;
  /// No answer is wanted any more.
  virtual void give_up() = 0;
};

using CheckDone = std::function<void(CheckResult result)>;

/// A check goes over the connection of the last one, if that may be used again and still stands.
class ConnectionProbe final : public HealthProbe, private http::StreamReceiver {
 public:
  ConnectionProbe(WorkerContext& context, std::shared_ptr<const ClusterConfig> cluster,
                  HostPtr host, CheckDone done);
  ~ConnectionProbe() override;

  void start() override;
  void give_up() override;

 private:
  class Channel;

  const HealthCheckConfig& config() const { return *cluster_->health_check; }
  void connect();
  void ask();
  void send_request();
  void add_edits(http::HeaderMap& headers) const;
  void send_bytes();
  void finish(CheckResult::Kind kind);
  void answered();
  CheckResult::Kind judge_http();
  CheckResult::Kind judge_grpc() const;
  void tell();
  void drop_channel();

  // from the channel
  void on_bytes(Buffer& data);
  void on_channel_closed();

  // http::StreamReceiver
  Arena& arena() override { return *arena_; }
  void on_headers(http::HeaderMap& headers, bool end_stream) override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_trailers(http::HeaderMap& trailers) override;
  void on_reset(http::ResetReason reason, std::string_view detail) override;

  WorkerContext& context_;
  const std::shared_ptr<const ClusterConfig> cluster_;
  const HostPtr host_;
  const CheckDone done_;
  std::unique_ptr<Arena> arena_;  // of the exchange under way
  Channel* channel_ = nullptr;    // destroys itself
  http::StreamSender* sender_ = nullptr;
  bool asking_ = false;
  bool broke_off_ = false;  // after an answer that is still to be told
  uint16_t status_ = 0;
  bool degraded_ = false;
  bool excludes_ = false;
  bool asked_service_ = false;
  std::string service_name_;
  std::string grpc_status_;
  std::string body_;
  CheckResult result_;
  Timer telling_;  // results are told in a turn of their own, with nothing else on the stack
};

/// Whether `bytes` has all of `parts`, in this order.
bool has_in_order(std::string_view bytes, const std::vector<std::string>& parts);

}  // namespace remora::upstream
