#include "xds/directory_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "proxy/base/log.h"

namespace remora::xds {

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

DirectoryWatch::DirectoryWatch(EventLoop& loop, const std::string& directory,
                               std::function<void(const std::string&)> moved)
    : moved_(std::move(moved)), inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (inotify_ < 0 || inotify_add_watch(inotify_, directory.c_str(), IN_MOVED_TO) < 0) {
    LOG_ERROR(config, "cannot watch {}: {}", directory, std::strerror(errno));
    return;
  }
  event_ =
      std::make_unique<FdEvent>(loop, inotify_, FdEvent::Trigger::Level, FdEvent::kRead,
                                FdEvent::bind<&DirectoryWatch::on_ready, DirectoryWatch>(), this);
}

DirectoryWatch::~DirectoryWatch() {
  event_.reset();
  if (inotify_ >= 0) ::close(inotify_);
}

void DirectoryWatch::on_ready(uint8_t) {
  alignas(inotify_event) char events[4096];
  std::vector<std::string> names;
  for (ssize_t bytes; (bytes = ::read(inotify_, events, sizeof(events))) > 0;) {
    for (ssize_t at = 0; at < bytes;) {
      const auto& event = *reinterpret_cast<const inotify_event*>(events + at);
      names.emplace_back(event.len > 0 ? event.name : "");
      at += static_cast<ssize_t>(sizeof(inotify_event) + event.len);
    }
  }
  const auto moved = moved_;  // it may destroy this
  for (const std::string& name : names) moved(name);
}

}  // namespace remora::xds
