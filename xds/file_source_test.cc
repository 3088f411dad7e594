// Files that come, are replaced, break and go.
#include "xds/file_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "api/cluster.pb.h"
#include "proxy/base/clock.h"
#include "xds/test_consumer.h"

namespace remora::xds {
namespace {

struct FileSourceTest : testing::Test {
  FileSourceTest() {
    char name[] = "/tmp/filesourceXXXXXX";
    directory = mkdtemp(name);
    config.kind = ConfigSource::Kind::Path;
    config.path = directory + "/cds.yaml";
    envoy::config::cluster::v3::Cluster::descriptor();  // so that Any finds the type
  }
  ~FileSourceTest() override {
    subscription.reset();
    source.reset();
    std::filesystem::remove_all(directory);
  }

  static std::string clusters(const std::string& version, const std::vector<std::string>& names) {
    std::string text = "version_info: \"" + version + "\"\nresources:\n";
    if (names.empty()) text = "version_info: \"" + version + "\"\nresources: []\n";
    for (const std::string& name : names) {
      text += "- \"@type\": " + std::string(kClusterType) + "\n  name: " + name + "\n";
    }
    return text;
  }
  void put(const std::string& text, const std::string& path) {
    std::ofstream(path + ".new") << text;
    ASSERT_EQ(rename((path + ".new").c_str(), path.c_str()), 0);
  }
  void put(const std::string& text) { put(text, config.path); }
  void subscribe() {
    source.emplace(loop, config, kClusterType);
    SubscribeOptions options;
    options.type_url = kClusterType;
    options.wildcard = true;
    options.observer = &consumer.observer;
    subscription = source->subscribe(options, consumer);
    EXPECT_EQ(consumer.updates, 0) << "never from inside subscribe()";
  }
  template <class F>
  void run_until(F done) {
    const uint64_t deadline = monotonic_now_ms() + 10'000;
    while (!done() && monotonic_now_ms() < deadline) loop.run_once(20);
    EXPECT_TRUE(done());
  }

  EventLoop loop;
  std::string directory;
  ConfigSource config;
  TestConsumer consumer;
  std::optional<FileSource> source;
  std::unique_ptr<Subscription> subscription;
};

TEST_F(FileSourceTest, ReadsAFileAndEachReplacementOfIt) {
  put(clusters("1", {"a", "b"}));
  subscribe();
  run_until([&] { return consumer.updates == 1; });
  EXPECT_EQ(consumer.take(), "+a +b ");
  EXPECT_EQ(consumer.accepted_version, "1");
  put(clusters("2", {"b", "c"}));
  run_until([&] { return consumer.updates == 2; });
  EXPECT_EQ(consumer.take(), "+c -a ");
}

TEST_F(FileSourceTest, WaitsForAFileThatIsNotThereYet) {
  subscribe();
  run_until([&] { return consumer.failures == 1; });
  put(clusters("1", {"a"}));
  run_until([&] { return consumer.updates == 1; });
}

TEST_F(FileSourceTest, KeepsWhatItHasWhenTheFileBreaks) {
  put(clusters("1", {"a"}));
  subscribe();
  run_until([&] { return consumer.updates == 1; });
  for (const char* broken : {"resources: [", "resources: 7", "unheard_of: 1",
                             "resources: [{\"@type\": "
                             "type.googleapis.com/envoy.config.listener.v3.Listener, name: x}]"}) {
    SCOPED_TRACE(broken);
    const int before = consumer.rejected;
    put(broken);
    run_until([&] { return consumer.rejected == before + 1; });
  }
  EXPECT_TRUE(consumer.resources.contains("a"));
  put(clusters("2", {"a", "b"}));
  run_until([&] { return consumer.updates == 2; });
  EXPECT_EQ(consumer.take(), "+a +b ");
}

TEST_F(FileSourceTest, FollowsADirectoryOfLinksThatIsSwitchedAsAWhole) {
  // As Kubernetes mounts a config map: cds.yaml -> ..data/cds.yaml, ..data -> a directory per
  // version.
  auto make_version = [&](const std::string& name, const std::string& text) {
    mkdir((directory + "/" + name).c_str(), 0755);
    std::ofstream(directory + "/" + name + "/cds.yaml") << text;
  };
  make_version("..v1", clusters("1", {"a"}));
  make_version("..v2", clusters("2", {"a", "b"}));
  ASSERT_EQ(symlink("..v1", (directory + "/..data").c_str()), 0);
  ASSERT_EQ(symlink("..data/cds.yaml", config.path.c_str()), 0);
  config.watched_directory = directory;
  subscribe();
  run_until([&] { return consumer.updates == 1; });
  ASSERT_EQ(symlink("..v2", (directory + "/..new").c_str()), 0);
  ASSERT_EQ(rename((directory + "/..new").c_str(), (directory + "/..data").c_str()), 0);
  run_until([&] { return consumer.updates == 2; });
  EXPECT_EQ(consumer.take(), "+a +b ");
}

TEST_F(FileSourceTest, ReadsJsonAndBinary) {
  envoy::service::discovery::v3::DiscoveryResponse response;
  response.set_version_info("7");
  const std::string json = directory + "/r.json", binary = directory + "/r.pb";
  put("{\"versionInfo\": \"7\"}", json);
  put(response.SerializeAsString(), binary);
  for (const std::string& path : {json, binary}) {
    const auto read = read_discovery_response(path);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->version_info(), "7");
  }
  EXPECT_FALSE(read_discovery_response(directory + "/none.yaml").ok());
}

}  // namespace
}  // namespace remora::xds
