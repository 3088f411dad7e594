// A downstream connection with its network filters: created by a Listener when the filter chain is
// chosen, gone at the end of the turn in which the connection closes. Keeps the configuration that
// it started with. Its worker's thread only.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/intrusive_list.h"
#include "proxy/base/snapshot.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/net/connection.h"
#include "proxy/net/connection_facts.h"
#include "proxy/net/filter.h"
#include "proxy/net/listener_config.h"
#include "proxy/net/listener_environment.h"

namespace remora {

class Listener;

class DownstreamConnection final : public Deferrable,
                                   public ListLink,
                                   private ConnectionHandler,
                                   private NetworkFilterContext {
 public:
  /// `chain` belongs to `config`.
  DownstreamConnection(Listener& listener, Snapshot<ListenerConfig> config,
                       const FilterChainConfig& chain, Socket socket, ConnectionFacts facts,
                       ConnectionSlot slot);
  ~DownstreamConnection() override;

  /// Starts the transport and then the filters. The connection may be over when this returns.
  void begin();

  const FilterChainConfig& chain() const { return chain_; }
  const ConnectionFacts& connection_facts() const { return facts_; }
  const Transport& transport() { return connection_.transport(); }

  /// Tells the filters to finish politely. Once.
  void drain();
  bool drained() const { return draining_; }
  /// When to drain() and when to close whatever is left; kept here for the listener.
  struct DrainPlan {
    static constexpr MonotonicMs kNever = std::numeric_limits<MonotonicMs>::max();
    MonotonicMs announce_at = kNever;
    MonotonicMs close_at = kNever;
  } drain_plan;
  void close(CloseHow how, std::string_view details);

 private:
  static constexpr size_t kNoFilter = std::numeric_limits<size_t>::max();

  // ConnectionHandler
  void on_connected() override;
  void on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override;
  void on_write_low_water() override;
  void on_written(size_t bytes) override { filters_.back()->on_written(bytes); }

  // NetworkFilterContext
  Connection& connection() override { return connection_; }
  ConnectionFacts& facts() override { return facts_; }
  WorkerContext& worker() override;
  void continue_reading() override;
  void set_termination_details(std::string_view details) override { details_ = details; }
  std::string_view termination_details() const override { return details_; }
  bool draining() const override;

  void run_filters(size_t from);
  bool run_filter(size_t index);  // false: iteration ends here
  bool passes(NetworkFilter::Status status);
  void on_transport_timeout();

  Listener& listener_;
  const Snapshot<ListenerConfig> config_;
  const FilterChainConfig& chain_;
  ConnectionFacts facts_;
  ConnectionSlot slot_;
  Connection connection_;
  std::vector<std::unique_ptr<NetworkFilter>> filters_;
  std::unique_ptr<Timer> transport_timer_;  // only while a configured limit runs
  std::string details_;
  size_t started_ = 0;             // filters that have seen on_new_connection()
  size_t ended_ = 0;               // filters that have been told the end of the stream
  size_t stopped_at_ = kNoFilter;  // the filter that the others wait for
  bool iterating_ = false;
  bool continued_ = false;  // continue_reading() came before the filter returned
  bool draining_ = false;
};

}  // namespace remora
