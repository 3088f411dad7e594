// One libevent registration per file descriptor; see the header. The loop's thread only.
#include "proxy/event/fd_event.h"

#include <event2/event.h>

#include <algorithm>
#include <cassert>

namespace remora {

FdEvent::FdEvent(EventLoop& loop, int fd, Trigger trigger, uint8_t interest, Callback callback,
                 void* owner)
    : loop_(loop), callback_(callback), owner_(owner) {
  short what = EV_PERSIST;
  if (interest & kRead) what |= EV_READ;
  if (interest & kWrite) what |= EV_WRITE;
  if (interest & kHangup) what |= EV_CLOSED;
  if (trigger == Trigger::Edge) what |= EV_ET;
  event_ = event_new(loop.base_, fd, what, &FdEvent::on_event, this);
  event_add(event_, nullptr);
}

FdEvent::~FdEvent() {
  event_free(event_);
  if (activated_ == 0) return;
  // The list is nearly always empty or short: it holds what was stopped for fairness this turn.
  for (auto* list : {&loop_.activated_, &loop_.running_}) {
    std::replace(list->begin(), list->end(), this, static_cast<FdEvent*>(nullptr));
  }
}

void FdEvent::on_event(int, short what, void* self) {
  auto& event = *static_cast<FdEvent*>(self);
  event.loop_.begin_turn();
  uint8_t ready = 0;
  if (what & EV_READ) ready |= kRead;
  if (what & EV_WRITE) ready |= kWrite;
  if (what & EV_CLOSED) ready |= kHangup;
  event.callback_(event.owner_, ready);
}

void FdEvent::activate(uint8_t ready) {
  assert(ready != 0);
  if (activated_ == 0) loop_.activated_.push_back(this);
  activated_ |= ready;
}

void FdEvent::enable() { event_add(event_, nullptr); }

void FdEvent::disable() { event_del(event_); }

}  // namespace remora
