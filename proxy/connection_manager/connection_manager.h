// The HTTP connection manager: last network filter of a chain. Chooses the codec, opens a stream
// per request, and keeps the connection: idle, duration, drain, closing, counting. Owned by its
// downstream connection; that worker's thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/base/snapshot.h"
#include "proxy/base/timer_wheel.h"
#include "proxy/connection_manager/config.h"
#include "proxy/http/codec.h"
#include "proxy/net/filter.h"
#include "proxy/router/route_table.h"
#include "proxy/router/route_tables.h"
#include "proxy/stats/group.h"
#include "proxy/stats/schemas.h"

namespace remora::connection_manager {

class RequestStream;

/// Everything that the connections of one configuration share.
struct Shared {
  std::shared_ptr<const HttpConfig> config;
  std::shared_ptr<stats::Group<stats::HttpSchema>> stats;
  /// listener.ADDRESS.http.PREFIX; may be null.
  std::shared_ptr<stats::Group<stats::ListenerHttpSchema>> listener_stats;
  /// http1; may be null.
  std::shared_ptr<stats::Group<stats::Http1Schema>> http1_stats;
  /// http2.*; may be null.
  std::shared_ptr<stats::Group<stats::Http2Schema>> http2_stats;
};

class ConnectionManager final : public NetworkFilter, public http::ServerCodecHandler {
 public:
  ConnectionManager(const Shared& shared, NetworkFilterContext& context);
  ~ConnectionManager() override;

  // --- NetworkFilter ---
  Status on_new_connection() override;
  Status on_data(Buffer& data, bool end_stream) override;
  void on_closed(CloseCause cause) override;
  void on_write_high_water() override;
  void on_write_low_water() override;
  void on_drain() override;

  // --- for its streams ---
  const HttpConfig& config() const { return *config_; }
  ConnectionFacts& facts() { return context_.facts(); }
  bool secure() const { return secure_; }
  uint32_t buffer_limit() const { return buffer_limit_; }
  void count(stats::HttpStat stat) { stats_.inc(stat); }
  void count_less(stats::HttpStat gauge) { stats_.dec(gauge); }
  void count_response(uint16_t status);
  /// The table to route by, and what keeps it alive when it came by RDS. `*table` is null when
  /// there is none yet.
  Snapshot<router::RouteTable> route_table(const router::RouteTable** table);
  /// Asked once per response: whether the connection shall end after it.
  bool closes_after_response();
  void on_stream_finished(RequestStream& stream);

 private:
  enum class Drain : uint8_t { No, Draining, Closing };

  // --- ServerCodecHandler ---
  http::StreamReceiver& on_new_stream(http::StreamSender& response) override;
  void on_codec_error(uint16_t status, std::string_view detail) override;
  void on_goaway() override { close_if_done(); }
  void on_codec_idle() override { close_if_done(); }
  void on_fields_dropped(size_t count) override;

  bool choose_codec(const Buffer& data, bool end_stream);
  void make_codec(http::Protocol protocol);
  bool http2() const { return codec_ != nullptr && codec_->protocol() == http::Protocol::Http2; }
  void start_drain();
  void close_if_done();
  void count_early_reset(const http::StreamInfo& info);
  void close(CloseHow how);
  void on_idle_timeout();
  void on_duration_reached();
  void on_drained();
  void count_bytes();
  void count_closed(CloseCause cause);

  const std::shared_ptr<const HttpConfig> config_;
  NetworkFilterContext& context_;
  Connection& connection_;
  stats::Slab<stats::HttpSchema>& stats_;
  stats::Slab<stats::ListenerHttpSchema>* listener_stats_;
  stats::Group<stats::Http1Schema>* const http1_stats_;  // of Shared, which outlives us
  stats::Group<stats::Http2Schema>* const http2_stats_;  // likewise
  router::RouteTables::Slot* routes_ = nullptr;          // of RDS
  std::unique_ptr<http::ServerCodec> codec_;             // from the first bytes on
  RequestStream* current_ = nullptr;                     // the newest request; HTTP/1
  uint32_t active_streams_ = 0;
  uint32_t requests_ = 0;
  uint32_t finished_requests_ = 0;
  uint32_t early_resets_ = 0;  // of those, reset when they had hardly begun
  uint32_t buffer_limit_ = 0;
  Drain drain_ = Drain::No;
  bool drain_wanted_ = false;
  bool secure_ = false;
  bool closed_ = false;
  bool counted_ = false;  // on_new_connection() came
  uint64_t rx_counted_ = 0;
  uint64_t tx_counted_ = 0;
  Timer idle_;
  Timer duration_;
  Timer drained_;
};

class ConnectionManagerFactory final : public NetworkFilterFactory {
 public:
  explicit ConnectionManagerFactory(Shared shared) : shared_(std::move(shared)) {}

  std::unique_ptr<NetworkFilter> make(NetworkFilterContext& context) const override;
  bool terminal() const override { return true; }
  std::vector<ResourceRef> route_configs() const override;
  const HttpConfig& config() const { return *shared_.config; }

 private:
  const Shared shared_;
};

}  // namespace remora::connection_manager
