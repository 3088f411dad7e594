// Tells when something is moved into a directory: how files are replaced, one by one or (as
// Kubernetes mounts them) as a directory of links. Main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/event/event_loop.h"
#include "proxy/event/fd_event.h"

namespace remora::xds {

/// The directory that a file is in.
std::string directory_of(const std::string& path);

class DirectoryWatch {
 public:
  /// `moved` hears the name of what was moved in; it may come several times a turn.
  DirectoryWatch(EventLoop& loop, const std::string& directory,
                 std::function<void(const std::string& name)> moved);
  ~DirectoryWatch();

 private:
  void on_ready(uint8_t ready);

  const std::function<void(const std::string&)> moved_;
  int inotify_ = -1;
  std::unique_ptr<FdEvent> event_;
};

}  // namespace remora::xds
