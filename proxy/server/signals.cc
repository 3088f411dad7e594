#include "proxy/server/signals.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace remora::server {
namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) sigaddset(&set, number);
  return set;
}

}  // namespace

void block_signals() {
  sigset_t set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

Signals::Signals(EventLoop& loop, std::function<void(int)> on_signal)
    : on_signal_(std::move(on_signal)),
      fd_([] {
        sigset_t set = handled_signals();
        return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
      }()),
      event_(loop, fd_.fd(), FdEvent::Trigger::Level, FdEvent::kRead,
             FdEvent::bind<&Signals::on_ready, Signals>(), this) {}

void Signals::on_ready(uint8_t) {
  signalfd_siginfo info;
  while (read(fd_.fd(), &info, sizeof(info)) == sizeof(info))
    on_signal_(static_cast<int>(info.ssi_signo));
}

}  // namespace remora::server
