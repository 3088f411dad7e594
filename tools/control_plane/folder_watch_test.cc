#include "tools/control_plane/folder_watch.h"

#include <poll.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace remora::control_plane {
namespace {

// inotify queues an event before the call that caused it returns, so nothing has to be waited for.
bool noticed(const FolderWatch& watch) {
  pollfd wanted{.fd = watch.fd(), .events = POLLIN, .revents = 0};
  return poll(&wanted, 1, 0) == 1;
}

class FolderWatchTest : public testing::Test {
 protected:
  FolderWatchTest() {
    std::string pattern = testing::TempDir() + "/watchXXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~FolderWatchTest() override { std::filesystem::remove_all(path_); }

  std::filesystem::path path_;
};

TEST_F(FolderWatchTest, NoticesFilesWrittenRenamedAndRemoved) {
  auto watch = FolderWatch::open(path_);
  ASSERT_TRUE(watch.ok()) << watch.status();
  EXPECT_FALSE(noticed(*watch));

  std::ofstream(path_ / "a") << "x";
  EXPECT_TRUE(noticed(*watch)) << "a file was written";
  watch->clear();
  EXPECT_FALSE(noticed(*watch));

  std::filesystem::rename(path_ / "a", path_ / "b");
  EXPECT_TRUE(noticed(*watch)) << "a file was renamed";
  watch->clear();

  std::filesystem::remove(path_ / "b");
  EXPECT_TRUE(noticed(*watch)) << "a file was removed";
}

TEST_F(FolderWatchTest, RefusesWhatIsNotAFolder) {
  EXPECT_FALSE(FolderWatch::open(path_ / "missing").ok());
}

}  // namespace
}  // namespace remora::control_plane
