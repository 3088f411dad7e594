// inotify on the folder itself: files written, moved in or out, and deleted.
#include "tools/control_plane/folder_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace remora::control_plane {

absl::StatusOr<FolderWatch> FolderWatch::open(const std::string& folder) {
  const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return absl::UnavailableError(std::string("inotify: ") + std::strerror(errno));
  FolderWatch watch(fd);
  constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
  if (inotify_add_watch(fd, folder.c_str(), kEvents | IN_ONLYDIR) < 0) {
    return absl::NotFoundError(folder + ": " + std::strerror(errno));
  }
  return watch;
}

FolderWatch::FolderWatch(FolderWatch&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FolderWatch::~FolderWatch() {
  if (fd_ >= 0) ::close(fd_);
}

void FolderWatch::clear() {
  alignas(inotify_event) char events[4096];
  while (::read(fd_, events, sizeof(events)) > 0) {
  }
}

}  // namespace remora::control_plane
