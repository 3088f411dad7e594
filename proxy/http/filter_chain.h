// The machine that runs one stream's messages through its filters, the same for both directions:
// requests from the first filter to the last, responses from the last to the first. A filter that
// pauses holds what it was shown, in order, until it lets go. Owned by the stream; its worker's
// thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/http/filter.h"
#include "proxy/http/header_map.h"

namespace remora::http {

class FilterChain {
 public:
  /// Where messages go that have passed the filters. Implemented by the stream.
  class Exit {
   public:
    virtual void exit_headers(Direction direction, HeaderMap& headers, bool end_stream) = 0;
    virtual void exit_data(Direction direction, Buffer& data, bool end_stream) = 0;
    virtual void exit_trailers(Direction direction, HeaderMap& trailers) = 0;
    /// A filter that looks at the body holds more than the limit.
    virtual void on_held_too_much(Direction direction) = 0;
    /// A filter that only waits holds more than the limit: stop the source; and less than half
    /// again.
    virtual void on_held_high_water(Direction direction) = 0;
    virtual void on_held_low_water(Direction direction) = 0;

   protected:
    ~Exit() = default;
  };

  explicit FilterChain(Exit& exit) : exit_(exit) {}
  ~FilterChain() { clear(); }
  FilterChain(const FilterChain&) = delete;
  FilterChain& operator=(const FilterChain&) = delete;

  /// Room for `filters` of them in `arena`, which outlives clear().
  void begin(Arena& arena, size_t filters, uint32_t hold_limit);
  void add(Filter* filter, FilterEvents events);
  size_t size() const { return count_; }

  // --- a message enters ---
  void headers(Direction direction, HeaderMap& headers, bool end_stream);
  void data(Direction direction, Buffer& data, bool end_stream);
  void trailers(Direction direction, HeaderMap& trailers);

  /// Filter `index` goes on in `direction` after it paused.
  void resume(Direction direction, size_t index);
  /// Drops what is held in `direction`; nothing of it runs any more.
  void stop(Direction direction);
  /// Drops the response on its way; the next one (a local answer) runs only through filters that
  /// saw the request.
  void restart_response();
  bool holding(Direction direction) const;

  Filter* last() const { return count_ == 0 ? nullptr : slots_[count_ - 1].filter; }
  /// Tells every filter that the stream is over.
  void notify_destroy();
  /// Destroys the filters.
  void clear();

 private:
  /// What a filter keeps of one direction while it pauses.
  struct Hold {
    bool holding = false;
    bool running = false;       // a call of this filter is on the stack
    bool resume_asked = false;  // by that call
    bool headers = false;
    bool trailers = false;
    bool end = false;
    Buffer* body = nullptr;  // in the arena
  };
  struct Slot {
    Filter* filter;
    FilterEvents events;
    std::array<Hold, 2> holds;
  };
  struct Side {
    HeaderMap* headers = nullptr;
    HeaderMap* trailers = nullptr;
    uint32_t epoch = 0;  // changes when what runs is to be abandoned
    bool stopped = false;
    bool over_limit = false;
    size_t held_bytes = 0;
  };

  Side& side(Direction d) { return sides_[static_cast<size_t>(d)]; }
  size_t index_at(Direction d, size_t position) const {
    return d == Direction::Request ? position : count_ - 1 - position;
  }
  Slot& slot_at(Direction d, size_t position) { return slots_[index_at(d, position)]; }
  static Hold& hold_of(Slot& slot, Direction d) { return slot.holds[static_cast<size_t>(d)]; }

  void pass_headers(Direction d, size_t position, bool end_stream);
  void pass_data(Direction d, size_t position, Buffer& data, bool end_stream);
  void pass_trailers(Direction d, size_t position);
  void release(Direction d, size_t position);
  void keep(Direction d, Slot& slot, Buffer& data, bool end_stream);
  void check_low_water(Direction d);
  void drop_holds(Direction d);

  Exit& exit_;
  Arena* arena_ = nullptr;
  Slot* slots_ = nullptr;
  size_t count_ = 0;
  size_t reached_ = 0;         // filters that the request's headers came to
  size_t response_entry_ = 0;  // position where responses enter
  uint32_t hold_limit_ = 0;
  std::array<Side, 2> sides_;
};

}  // namespace remora::http
