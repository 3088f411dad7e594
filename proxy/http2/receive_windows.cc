#include "proxy/http2/receive_windows.h"

#include <algorithm>
#include <utility>

namespace remora::http2 {
namespace {

/// A connection has room for more than one stream's window.
uint32_t connection_for(uint32_t stream) { return stream + stream / 2; }

}  // namespace

ReceiveWindows::ReceiveWindows(std::optional<uint32_t> stream, std::optional<uint32_t> connection,
                               BlockPool& pool)
    : pool_(pool),
      stream_follows_(!stream),
      connection_follows_(!connection),
      stream_(stream.value_or(kFirst)),
      connection_(connection.value_or(connection_for(kFirst))),
      probe_after_(kFirst / 2) {}

ReceiveWindows::~ReceiveWindows() { pool_.give_back_promise(borrowed_ + held_); }

bool ReceiveWindows::on_data(size_t bytes, MonotonicMs now) {
  if (now != burst_at_) burst_ = 0;
  burst_at_ = now;
  burst_ += bytes;
  since_probe_ += bytes;
  if (probing_ || since_probe_ < probe_after_) return false;
  const bool can_grow = (stream_follows_ && stream_ < kMaxStream) ||
                        (connection_follows_ && connection_ < kMaxConnection);
  if (!can_grow) return false;
  probing_ = true;
  since_probe_ = burst_;  // a sender that had to wait for us sent all of its window together
  probe_sent_ = now;
  return true;
}

/// What came since the PING left is what the link carries in a round trip, unless the window was
/// the limit: then it is close to the window. A larger window that brought no higher rate would
/// only lengthen queues.
bool ReceiveWindows::on_round_trip(MonotonicMs now) {
  if (!probing_) return false;
  probing_ = false;
  const uint64_t sample = std::exchange(since_probe_, 0);
  const uint64_t rate = sample / std::max<uint64_t>(now - probe_sent_, 1);
  const uint32_t narrowest = stream_follows_ ? stream_ : connection_;
  if (sample < narrowest / 3 * uint64_t{2} || rate <= best_rate_) {
    probe_after_ = std::min<size_t>(probe_after_ * 2, size_t{16} * narrowest);
    return false;
  }
  best_rate_ = rate;
  const uint32_t before_stream = stream_, before_connection = connection_;
  grow(static_cast<uint32_t>(std::min<uint64_t>(2 * sample, kMaxStream)));
  probe_after_ = stream_ / 2;
  return stream_ != before_stream || connection_ != before_connection;
}

void ReceiveWindows::grow(uint32_t wanted) {
  if (connection_follows_) {
    const uint32_t target = std::min(connection_for(wanted), kMaxConnection);
    if (target > connection_) {
      const size_t lent = pool_.promise(target - connection_);
      borrowed_ += lent;
      connection_ += static_cast<uint32_t>(lent);
    }
  }
  // A stream's share of a connection that could not grow stays what it was.
  const uint32_t room = connection_ / 3 * 2 + 1;
  if (stream_follows_) stream_ = std::max(stream_, std::min(wanted, room));
}

size_t ReceiveWindows::hold(size_t bytes) {
  if (!connection_follows_) return 0;  // the configuration has said how much may wait
  const size_t room = kMaxConnection - std::min<size_t>(kMaxConnection, connection_ + held_);
  const size_t lent = pool_.promise(std::min(bytes, room));
  held_ += lent;
  return lent;
}

void ReceiveWindows::release(size_t bytes) {
  held_ -= bytes;
  pool_.give_back_promise(bytes);
}

}  // namespace remora::http2
