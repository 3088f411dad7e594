// What is left of a session when its client has gone first: the bytes that the upstream has yet to
// take. Owns itself until the upstream connection is closed. The worker's thread.
#pragma once

#include <cstdint>
#include <memory>

#include "proxy/base/timer_wheel.h"
#include "proxy/net/connection.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"
#include "proxy/upstream/tcp_pool.h"
#include "proxy/upstream/worker_context.h"

namespace remora::tcp_proxy {

/// How long a connection that was sent everything is given to end its half: closing it while its
/// bytes arrive would turn into a reset that may overtake ours.
inline constexpr uint32_t kLingerMs = 1000;

class UpstreamFlush final : public Deferrable, private ConnectionHandler {
 public:
  using StatsGroup = std::shared_ptr<stats::Group<stats::TcpSchema>>;

  /// Sends what is buffered and a FIN, reading and dropping what comes, and closes; gives up when
  /// nothing moves for `idle_timeout_ms` (0: never).
  static void start(std::unique_ptr<upstream::TcpConnection> upstream, StatsGroup stats,
                    WorkerContext& worker, uint64_t idle_timeout_ms);

  UpstreamFlush(std::unique_ptr<upstream::TcpConnection> upstream, StatsGroup stats,
                WorkerContext& worker, uint64_t idle_timeout_ms);

 private:
  void run();
  void linger();
  void active();
  void on_idle();

  void on_connected() override {}
  void on_data(Buffer& data, bool end_stream) override;
  void on_written(size_t bytes) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override {}
  void on_write_low_water() override {}

  std::unique_ptr<upstream::TcpConnection> upstream_;
  const StatsGroup group_;
  stats::Slab<stats::TcpSchema>& stats_;
  const uint64_t idle_timeout_ms_;
  const bool counted_;  // there was something left to send
  Timer idle_;
};

}  // namespace remora::tcp_proxy
