// Finds out whether a plain connection speaks HTTP, and which version, by its first line, for the
// choice of the filter chain. It takes nothing off the socket. Its factory is shared by workers; a
// filter belongs to one accepted socket. Document:
// envoy.extensions.filters.listener.http_inspector.v3.HttpInspector.
#pragma once

#include <cstdint>
#include <memory>

#include "filters/listener/http_inspector/first_line.h"
#include "proxy/net/filter.h"
#include "proxy/stats/group.h"

namespace remora::filters {

#define REMORA_HTTP_INSPECTOR_STATS(X) \
  X(Counter, http10_found)             \
  X(Counter, http11_found) X(Counter, http2_found) X(Counter, http_not_found) X(Counter, read_error)
REMORA_STATS_SCHEMA(HttpInspector, REMORA_HTTP_INSPECTOR_STATS, REMORA_NO_STATS, REMORA_NO_STATS)

using HttpInspectorStats = stats::Group<HttpInspectorSchema>;

class HttpInspector final : public ListenerFilter {
 public:
  /// A longer first line is not waited for.
  static constexpr size_t kMaxLineBytes = 64 * 1024;
  static constexpr size_t kFirstPeekBytes = 8 * 1024;

  explicit HttpInspector(HttpInspectorStats& stats) : stats_(stats) {}

  Status on_accept(ListenerFilterContext& context) override;
  Status on_peek(ListenerFilterContext& context, std::string_view bytes) override;
  size_t max_peek_bytes() const override { return room_; }

 private:
  HttpInspectorStats& stats_;
  FirstLineReader reader_;
  size_t room_ = kFirstPeekBytes;
  size_t seen_ = 0;
};

class HttpInspectorFactory final : public ListenerFilterFactory {
 public:
  explicit HttpInspectorFactory(std::shared_ptr<HttpInspectorStats> stats)
      : stats_(std::move(stats)) {}
  std::unique_ptr<ListenerFilter> make() const override {
    return std::make_unique<HttpInspector>(*stats_);
  }

 private:
  const std::shared_ptr<HttpInspectorStats> stats_;
};

}  // namespace remora::filters
