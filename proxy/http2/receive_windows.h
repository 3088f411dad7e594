// How much the peer of one connection may have in flight to us: little at first, then as much as
// its link carries in a round trip, within what the worker can spare. So one stream fills a fast
// link and ten thousand slow ones do not fill memory. RFC 9113 section 5.2. Owned by its Session;
// that connection's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "proxy/base/block_pool.h"
#include "proxy/base/clock.h"

namespace remora::http2 {

class ReceiveWindows {
 public:
  static constexpr uint32_t kFirst = 65'535;  // bytes, of a stream
  static constexpr uint32_t kMaxStream =
      16 * 1024 * 1024;  // as large as Envoy's are from the start
  static constexpr uint32_t kMaxConnection = 24 * 1024 * 1024;

  /// A size that the configuration names is kept; one that it leaves open (nothing) follows the
  /// link. `pool` lends the memory that the peer may fill.
  ReceiveWindows(std::optional<uint32_t> stream, std::optional<uint32_t> connection,
                 BlockPool& pool);
  ~ReceiveWindows();
  ReceiveWindows(const ReceiveWindows&) = delete;
  ReceiveWindows& operator=(const ReceiveWindows&) = delete;

  /// What one stream, and all streams together, may have in flight to us; bytes.
  uint32_t stream() const { return stream_; }
  uint32_t connection() const { return connection_; }

  /// DATA came. True: a PING should go out now, and on_round_trip() follow when it is answered.
  bool on_data(size_t bytes, MonotonicMs now);
  /// True: the windows have grown, the peer is to be told.
  bool on_round_trip(MonotonicMs now);

  /// So many bytes wait for a user that does not read. Answers how many of them need not count
  /// against the connection's window, so that its other streams go on; release() ends that.
  size_t hold(size_t bytes);
  void release(size_t bytes);

 private:
  void grow(uint32_t wanted);

  BlockPool& pool_;
  const bool stream_follows_;
  const bool connection_follows_;
  uint32_t stream_;
  uint32_t connection_;
  size_t borrowed_ = 0;  // of the pool, for the connection's growth
  size_t held_ = 0;      // of the pool, for bytes that wait
  size_t since_probe_ = 0;
  size_t burst_ = 0;  // what came at burst_at_
  MonotonicMs burst_at_ = 0;
  size_t probe_after_;
  bool probing_ = false;
  MonotonicMs probe_sent_ = 0;
  uint64_t best_rate_ = 0;  // bytes per millisecond
};

}  // namespace remora::http2
