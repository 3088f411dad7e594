// Tells TLS from plain bytes by the first of them, and takes server name and application protocols
// from the ClientHello for the choice of the filter chain. It takes nothing off the socket. Its
// factory is shared by workers; a filter belongs to one accepted socket. Document:
// envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector.
#pragma once

#include <cstdint>
#include <memory>

#include "filters/listener/tls_inspector/client_hello.h"
#include "proxy/net/filter.h"
#include "proxy/stats/group.h"

namespace remora::filters {

#define REMORA_TLS_INSPECTOR_STATS(X) \
  X(Counter, alpn_found)              \
  X(Counter, alpn_not_found)          \
  X(Counter, client_hello_too_large)  \
  X(Counter, sni_found) X(Counter, sni_not_found) X(Counter, tls_found) X(Counter, tls_not_found)
#define REMORA_TLS_INSPECTOR_HISTOGRAMS(X) X(Histogram, bytes_processed)
REMORA_STATS_SCHEMA(TlsInspector, REMORA_TLS_INSPECTOR_STATS, REMORA_NO_STATS,
                    REMORA_TLS_INSPECTOR_HISTOGRAMS)

struct TlsInspectorConfig {
  static constexpr size_t kMaxClientHelloBytes = 16384;

  bool ja3 = false;
  bool ja4 = false;
  bool reject_plain = false;  // close_connection_on_client_hello_parsing_errors
  size_t max_client_hello_bytes = kMaxClientHelloBytes;
  size_t first_peek_bytes = kMaxClientHelloBytes;  // initial_read_buffer_size
  std::shared_ptr<stats::Group<TlsInspectorSchema>> stats;
};

class TlsInspector final : public ListenerFilter {
 public:
  explicit TlsInspector(const TlsInspectorConfig& config)
      : config_(config), reader_(config.max_client_hello_bytes) {}

  Status on_accept(ListenerFilterContext&) override { return Status::NeedData; }
  Status on_peek(ListenerFilterContext& context, std::string_view bytes) override;
  size_t max_peek_bytes() const override;
  size_t wanted_bytes() const override { return reader_.wanted(); }

 private:
  Status on_hello(ConnectionFacts& facts, stats::Slab<TlsInspectorSchema>& stats);

  const TlsInspectorConfig& config_;
  ClientHelloReader reader_;
};

class TlsInspectorFactory final : public ListenerFilterFactory {
 public:
  explicit TlsInspectorFactory(TlsInspectorConfig config) : config_(std::move(config)) {}
  std::unique_ptr<ListenerFilter> make() const override {
    return std::make_unique<TlsInspector>(config_);
  }
  const TlsInspectorConfig& config() const { return config_; }

 private:
  const TlsInspectorConfig config_;
};

}  // namespace remora::filters
