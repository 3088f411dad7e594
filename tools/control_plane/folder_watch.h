// Tells when a folder's content changes, through inotify. Made and used on one thread.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace remora::control_plane {

class FolderWatch {
 public:
  static absl::StatusOr<FolderWatch> open(const std::string& folder);
  FolderWatch(FolderWatch&& other) noexcept;
  FolderWatch& operator=(FolderWatch&&) = delete;
  ~FolderWatch();

  // Readable when something has changed since the last `clear`; for poll().
  int fd() const { return fd_; }

  // Forgets what has been noticed so far: call it before reading the folder.
  void clear();

 private:
  explicit FolderWatch(int fd) : fd_(fd) {}

  int fd_;
};

}  // namespace remora::control_plane
