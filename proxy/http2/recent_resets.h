// The streams that we have reset lately: what the peer sent before it knew may still be on its way.
// A value; owned by the Session.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace remora::http2 {

class RecentResets {
 public:
  void add(int32_t id) {
    int32_t& slot = ids_[next_++ % ids_.size()];
    forgotten_ = std::max(forgotten_, slot);
    slot = id;
  }
  /// False only when it is certain that the stream was not reset by us.
  bool may_hold(int32_t id) const {
    return id <= forgotten_ || std::find(ids_.begin(), ids_.end(), id) != ids_.end();
  }

 private:
  std::array<int32_t, 32> ids_ = {};
  size_t next_ = 0;
  int32_t forgotten_ = 0;  // the highest that had to make room
};

}  // namespace remora::http2
