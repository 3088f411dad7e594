// HTTP filters: what a filter is asked and what it may ask of its stream. A filter is a small class
// made per stream in the stream's arena from an immutable factory. Request and response pass
// through the same machine (filter_chain.h); nothing calls back before it returns. Thread: the
// connection's worker. CONTRACT.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/http/failure.h"
#include "proxy/http/header_map.h"
#include "proxy/http/stream_info.h"

namespace remora {
class WorkerContext;
}
namespace remora::router {
struct Route;
struct RouteDecision;
}  // namespace remora::router

namespace remora::http {

class FilterStream;

/// A filter's answer to an event. Replied can only be had from FilterStream::reply(), so answering
/// and then continuing does not compile.
class FilterStatus {
 public:
  enum Value : uint8_t { kContinue, kPause, kReplied, kEndWith };
  static constexpr FilterStatus Continue() { return FilterStatus(kContinue); }
  /// Holds this direction here until FilterStream::resume() or until the filter answers Continue to
  /// a later event of it. What arrives meanwhile is shown to the filter, if it handles it, and kept
  /// up to the stream's buffer limit (then 413 / 500 for a filter that looks at the body,
  /// back-pressure for one that only waits).
  static constexpr FilterStatus Pause() { return FilterStatus(kPause); }
  /// To trailers: `data` takes their place and ends the message. It stays the filter's.
  static constexpr FilterStatus EndWith(Buffer& data) { return FilterStatus(kEndWith, &data); }
  constexpr Value value() const { return value_; }
  constexpr Buffer* data() const { return data_; }

 private:
  friend class FilterStream;
  constexpr explicit FilterStatus(Value v, Buffer* data = nullptr) : value_(v), data_(data) {}
  Value value_;
  Buffer* data_;
};

enum class Direction : uint8_t { Request, Response };

/// A header that a local answer carries besides the usual ones; both live as long as the stream.
struct ReplyHeader {
  HeaderId id;
  std::string_view value;
};

/// What a filter may ask of the stream it sits in. Each filter has one of its own, so that resume()
/// knows who asks.
class FilterStream {
 public:
  virtual Arena& arena() = 0;
  virtual WorkerContext& worker() = 0;
  virtual StreamInfo& info() = 0;
  virtual HeaderMap& request_headers() = 0;
  virtual HeaderMap* response_headers() = 0;  // null before they came

  /// The route chosen for the request headers as they are (cached; recomputed after
  /// clear_route_cache()). Null: none.
  virtual const router::Route* route() = 0;
  virtual const router::RouteDecision& route_decision() = 0;
  virtual void clear_route_cache() = 0;
  /// This filter's typed_per_filter_config merged for the route (most specific wins), or null.
  virtual const void* route_config_of(std::string_view filter_name) = 0;

  /// Sends a local answer (through the response filters that were passed) and ends the request
  /// here. `body` replaces failure.body when not empty. gRPC requests get grpc-status with HTTP
  /// 200.
  virtual FilterStatus reply(const Failure& failure, std::string_view body = {},
                             std::span<const ReplyHeader> headers = {}) = 0;
  /// After this filter's Pause: goes on in `direction` behind it. May be called from a timer or a
  /// pool callback; it takes effect before it returns (from inside a call of this filter: when that
  /// call answers).
  virtual void resume(Direction direction) = 0;
  /// Ends the stream without an answer (connection closed or RST_STREAM).
  virtual void reset(ResetReason reason) = 0;

  // --- for the last filter (the router): the response enters the chain here ---
  virtual void respond_informational(HeaderMap& headers) = 0;
  virtual void respond_headers(HeaderMap& headers, bool end_stream) = 0;
  virtual void respond_data(Buffer& data, bool end_stream) = 0;
  virtual void respond_trailers(HeaderMap& trailers) = 0;

  /// Back-pressure on the request: stops and restarts reading the client's body (counted).
  virtual void pause_request_body() = 0;
  virtual void resume_request_body() = 0;
  virtual uint32_t buffer_limit() const = 0;  // bytes a paused direction or a retry may hold

  /// The request begins anew, as if it had come with its headers as they are now and with `body`:
  /// another route, other filters. False: it cannot. For the last filter, before it has responded
  /// and once the request is complete; the filters are over then.
  virtual bool restart(Buffer& /*body*/) { return false; }

 protected:
  ~FilterStream() = default;
  static FilterStatus replied() { return FilterStatus(FilterStatus::kReplied); }
};

/// A filter overrides the events it handles; others are skipped without a call.
class Filter {
 public:
  virtual ~Filter() = default;
  virtual FilterStatus on_request_headers(HeaderMap& /*headers*/, bool /*end_stream*/) {
    return FilterStatus::Continue();
  }
  virtual FilterStatus on_request_body(Buffer& /*data*/, bool /*end_stream*/) {
    return FilterStatus::Continue();
  }
  virtual FilterStatus on_request_trailers(HeaderMap& /*trailers*/) {
    return FilterStatus::Continue();
  }
  virtual FilterStatus on_response_headers(HeaderMap& /*headers*/, bool /*end_stream*/) {
    return FilterStatus::Continue();
  }
  virtual FilterStatus on_response_body(Buffer& /*data*/, bool /*end_stream*/) {
    return FilterStatus::Continue();
  }
  virtual FilterStatus on_response_trailers(HeaderMap& /*trailers*/) {
    return FilterStatus::Continue();
  }
  /// The stream is over (completed, reset, or answered by somebody else); release what is in
  /// flight.
  virtual void on_destroy() {}
  /// What the client's side of the response has room for; for the last filter.
  virtual void on_response_high_water() {}
  virtual void on_response_low_water() {}
};

/// Which events a filter class handles, known at compile time.
struct FilterEvents {
  bool request_headers, request_body, request_trailers, response_headers, response_body,
      response_trailers;

  template <class F>
  static constexpr FilterEvents of() {
    return {
        !std::is_same_v<decltype(&F::on_request_headers), decltype(&Filter::on_request_headers)>,
        !std::is_same_v<decltype(&F::on_request_body), decltype(&Filter::on_request_body)>,
        !std::is_same_v<decltype(&F::on_request_trailers), decltype(&Filter::on_request_trailers)>,
        !std::is_same_v<decltype(&F::on_response_headers), decltype(&Filter::on_response_headers)>,
        !std::is_same_v<decltype(&F::on_response_body), decltype(&Filter::on_response_body)>,
        !std::is_same_v<decltype(&F::on_response_trailers),
                        decltype(&Filter::on_response_trailers)>};
  }
};

/// Makes one filter per stream; immutable, compiled on the main thread, shared by the workers.
class FilterFactory {
 public:
  virtual ~FilterFactory() = default;
  /// Constructed in stream.arena(); the chain calls the destructor.
  virtual Filter* make(FilterStream& stream) const = 0;
  virtual FilterEvents events() const = 0;
  virtual bool terminal() const { return false; }
};

/// The usual factory: FilterOf<F, Config> makes `F(stream, config)`.
template <class F, class Config>
class FilterOf final : public FilterFactory {
 public:
  explicit FilterOf(Config config) : config_(std::move(config)) {}
  Filter* make(FilterStream& stream) const override {
    return stream.arena().template make<F>(stream, config_);
  }
  FilterEvents events() const override { return FilterEvents::of<F>(); }
  bool terminal() const override {
    if constexpr (requires { F::kTerminal; }) return F::kTerminal;
    return false;
  }

 private:
  const Config config_;
};

}  // namespace remora::http
