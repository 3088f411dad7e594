#include "proxy/http/filter_chain.h"

#include <algorithm>

namespace remora::http {
namespace {

bool handles_headers(const FilterEvents& events, Direction d) {
  return d == Direction::Request ? events.request_headers : events.response_headers;
}
bool handles_body(const FilterEvents& events, Direction d) {
  return d == Direction::Request ? events.request_body : events.response_body;
}
bool handles_trailers(const FilterEvents& events, Direction d) {
  return d == Direction::Request ? events.request_trailers : events.response_trailers;
}

}  // namespace

void FilterChain::begin(Arena& arena, size_t filters, uint32_t hold_limit) {
  arena_ = &arena;
  slots_ = static_cast<Slot*>(
      arena.allocate(sizeof(Slot) * std::max<size_t>(filters, 1), alignof(Slot)));
  count_ = 0;
  reached_ = 0;
  response_entry_ = 0;
  hold_limit_ = hold_limit;
  sides_ = {};
}

void FilterChain::add(Filter* filter, FilterEvents events) {
  new (&slots_[count_++]) Slot{filter, events, {}};
}

void FilterChain::headers(Direction d, HeaderMap& headers, bool end_stream) {
  if (side(d).stopped) return;
  side(d).headers = &headers;
  pass_headers(d, d == Direction::Request ? 0 : response_entry_, end_stream);
}

void FilterChain::data(Direction d, Buffer& data, bool end_stream) {
  if (side(d).stopped) {
    data.clear();
    return;
  }
  pass_data(d, d == Direction::Request ? 0 : response_entry_, data, end_stream);
}

void FilterChain::trailers(Direction d, HeaderMap& trailers) {
  if (side(d).stopped) return;
  side(d).trailers = &trailers;
  pass_trailers(d, d == Direction::Request ? 0 : response_entry_);
}

namespace {

/// Marks a filter's call as being on the stack, and says afterwards whether the filter holds.
template <class Hold, class Call>
FilterStatus run(Hold& hold, Call call) {
  hold.running = true;
  FilterStatus answer = call();
  hold.running = false;
  if (answer.value() == FilterStatus::kPause && hold.resume_asked) {
    answer = FilterStatus::Continue();
  }
  hold.resume_asked = false;
  return answer;
}

}  // namespace

void FilterChain::pass_headers(Direction d, size_t position, bool end_stream) {
  Side& s = side(d);
  const uint32_t epoch = s.epoch;
  for (; position < count_; ++position) {
    Slot& slot = slot_at(d, position);
    if (d == Direction::Request) reached_ = std::max(reached_, position + 1);
    if (!handles_headers(slot.events, d)) continue;
    Hold& hold = hold_of(slot, d);
    const FilterStatus::Value answer =
        run(hold, [&] {
          return d == Direction::Request ? slot.filter->on_request_headers(*s.headers, end_stream)
                                         : slot.filter->on_response_headers(*s.headers, end_stream);
        }).value();
    if (s.epoch != epoch || answer == FilterStatus::kReplied) return;
    if (answer == FilterStatus::kPause) {
      hold.holding = true;
      hold.headers = true;
      hold.end = end_stream;
      return;
    }
  }
  exit_.exit_headers(d, *s.headers, end_stream);
}

void FilterChain::pass_data(Direction d, size_t position, Buffer& data, bool end_stream) {
  Side& s = side(d);
  const uint32_t epoch = s.epoch;
  for (; position < count_; ++position) {
    Slot& slot = slot_at(d, position);
    Hold& hold = hold_of(slot, d);
    if (handles_body(slot.events, d)) {
      const FilterStatus::Value answer =
          run(hold, [&] {
            return d == Direction::Request ? slot.filter->on_request_body(data, end_stream)
                                           : slot.filter->on_response_body(data, end_stream);
          }).value();
      if (s.epoch != epoch || answer == FilterStatus::kReplied) return;
      if (answer == FilterStatus::kPause) {
        keep(d, slot, data, end_stream);
        return;
      }
      if (hold.holding) release(d, position);
      if (s.epoch != epoch) return;
    } else if (hold.holding) {
      keep(d, slot, data, end_stream);
      return;
    }
  }
  exit_.exit_data(d, data, end_stream);
}

void FilterChain::pass_trailers(Direction d, size_t position) {
  Side& s = side(d);
  const uint32_t epoch = s.epoch;
  for (; position < count_; ++position) {
    Slot& slot = slot_at(d, position);
    Hold& hold = hold_of(slot, d);
    FilterStatus answer = hold.holding ? FilterStatus::Pause() : FilterStatus::Continue();
    if (handles_trailers(slot.events, d)) {
      answer = run(hold, [&] {
        return d == Direction::Request ? slot.filter->on_request_trailers(*s.trailers)
                                       : slot.filter->on_response_trailers(*s.trailers);
      });
      if (s.epoch != epoch || answer.value() == FilterStatus::kReplied) return;
    }
    if (answer.value() == FilterStatus::kPause) {
      hold.holding = true;
      hold.trailers = true;
      return;
    }
    if (hold.holding) release(d, position);
    if (s.epoch != epoch) return;
    if (answer.value() == FilterStatus::kEndWith) {
      return pass_data(d, position + 1, *answer.data(), true);
    }
  }
  exit_.exit_trailers(d, *s.trailers);
}

void FilterChain::release(Direction d, size_t position) {
  Side& s = side(d);
  const uint32_t epoch = s.epoch;
  Hold& hold = hold_of(slot_at(d, position), d);
  Buffer body(arena_->pool());
  if (hold.body != nullptr) body = std::move(*hold.body);
  const Hold held = hold;
  hold.holding = hold.headers = hold.trailers = hold.end = false;
  s.held_bytes -= body.size();
  const bool end_after_body = held.end && !held.trailers;
  const bool end_with_headers = held.headers && end_after_body && body.empty();

  if (held.headers) pass_headers(d, position + 1, end_with_headers);
  if (s.epoch != epoch) return;
  if (!body.empty() || (end_after_body && !end_with_headers)) {
    pass_data(d, position + 1, body, end_after_body);
    if (s.epoch != epoch) return;
  }
  check_low_water(d);
  if (held.trailers) pass_trailers(d, position + 1);
}

void FilterChain::keep(Direction d, Slot& slot, Buffer& data, bool end_stream) {
  Side& s = side(d);
  Hold& hold = hold_of(slot, d);
  hold.holding = true;
  hold.end = end_stream;
  if (data.empty()) return;
  if (hold.body == nullptr) hold.body = arena_->make<Buffer>(arena_->pool());
  s.held_bytes += data.size();
  hold.body->append(data, data.size());
  if (s.held_bytes <= hold_limit_ || hold_limit_ == 0) return;
  if (handles_body(slot.events, d)) {
    exit_.on_held_too_much(d);
  } else if (!s.over_limit) {
    s.over_limit = true;
    exit_.on_held_high_water(d);
  }
}

void FilterChain::check_low_water(Direction d) {
  Side& s = side(d);
  if (s.over_limit && s.held_bytes <= hold_limit_ / 2) {
    s.over_limit = false;
    exit_.on_held_low_water(d);
  }
}

void FilterChain::resume(Direction d, size_t index) {
  Slot& slot = slots_[index];
  Hold& hold = hold_of(slot, d);
  if (hold.running) {
    hold.resume_asked = true;
  } else if (hold.holding && !side(d).stopped) {
    release(d, d == Direction::Request ? index : count_ - 1 - index);
  }
}

void FilterChain::drop_holds(Direction d) {
  for (size_t i = 0; i < count_; ++i) {
    Hold& hold = hold_of(slots_[i], d);
    if (hold.body != nullptr) hold.body->clear();
    hold.holding = hold.headers = hold.trailers = hold.end = false;
  }
  Side& s = side(d);
  ++s.epoch;
  s.held_bytes = 0;
  if (s.over_limit) {
    s.over_limit = false;
    exit_.on_held_low_water(d);
  }
}

void FilterChain::stop(Direction d) {
  drop_holds(d);
  side(d).stopped = true;
}

void FilterChain::restart_response() {
  drop_holds(Direction::Response);
  response_entry_ = count_ - reached_;
}

bool FilterChain::holding(Direction d) const {
  for (size_t i = 0; i < count_; ++i) {
    if (slots_[i].holds[static_cast<size_t>(d)].holding) return true;
  }
  return false;
}

void FilterChain::notify_destroy() {
  for (size_t i = 0; i < count_; ++i) slots_[i].filter->on_destroy();
}

void FilterChain::clear() {
  for (size_t i = 0; i < count_; ++i) {
    slots_[i].filter->~Filter();
    for (Hold& hold : slots_[i].holds) {
      if (hold.body != nullptr) hold.body->~Buffer();
    }
  }
  count_ = 0;
  reached_ = 0;
}

}  // namespace remora::http
