// The eventfd behind a Mailbox. notify() from any thread, the rest on the loop's.
#include "proxy/event/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace remora {
namespace {

int new_eventfd() {
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    std::perror("cannot create an eventfd");
    std::abort();
  }
  return fd;
}

}  // namespace

Wakeup::Wakeup(EventLoop& loop, Callback callback, void* owner)
    : fd_(new_eventfd()),
      callback_(callback),
      owner_(owner),
      event_(loop, fd_, FdEvent::Trigger::Edge, FdEvent::kRead,
             FdEvent::bind<&Wakeup::on_ready, Wakeup>(), this) {}

Wakeup::~Wakeup() {
  event_.disable();  // before its descriptor goes
  ::close(fd_);
}

void Wakeup::notify() {
  // Every write is an edge of its own, so the count is never read back; it can't come near 2^64.
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof(one));
}

void Wakeup::on_ready(uint8_t) { callback_(owner_); }

}  // namespace remora
