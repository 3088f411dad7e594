#include "proxy/server/options.h"

#include <gtest/gtest.h>

namespace remora::server {
namespace {

TEST(Options, TakesWhatAnIstioAgentPasses) {
  auto o =
      parse_options({"-c", "etc/istio/proxy/envoy-rev.json", "--drain-time-s", "45",
                     "--drain-strategy", "immediate", "--local-address-ip-version", "v4",
                     "--file-flush-interval-msec", "1000", "--disable-hot-restart",
                     "--allow-unknown-static-fields", "-l", "warning", "--skip-deprecated-logs"});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->config_path, "etc/istio/proxy/envoy-rev.json");
  EXPECT_EQ(o->drain_time_s, 45u);
  EXPECT_EQ(o->drain_strategy, DrainStrategy::Immediate);
  EXPECT_EQ(o->file_flush_interval_ms, 1000u);
  EXPECT_TRUE(o->allow_unknown_static_fields);
  EXPECT_EQ(o->log_level, "warning");
}

TEST(Options, ReadsValuesBehindAnEqualsSign) {
  auto o = parse_options({"--concurrency=3", "--mode=validate", "--stats-tag=pod:a:b"});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->concurrency, 3u);
  EXPECT_EQ(o->mode, Mode::Validate);
  ASSERT_EQ(o->stats_tags.size(), 1u);
  EXPECT_EQ(o->stats_tags[0].second, "a:b");
}

TEST(Options, RefusesWhatItDoesNotKnowOrCannotHonour) {
  EXPECT_FALSE(parse_options({"--no-such-flag"}).ok());
  EXPECT_FALSE(parse_options({"--restart-epoch", "1"}).ok());
  EXPECT_TRUE(parse_options({"--restart-epoch", "0"}).ok());
  EXPECT_FALSE(parse_options({"--concurrency", "many"}).ok());
  EXPECT_FALSE(parse_options({"--concurrency", "-1"}).ok());
  EXPECT_FALSE(parse_options({"--mode", "dance"}).ok());
  EXPECT_FALSE(parse_options({"-c"}).ok());
  EXPECT_FALSE(parse_options({"--log-level", "loud"}).ok());
  EXPECT_FALSE(parse_options({"--disable-hot-restart=yes"}).ok());
  EXPECT_FALSE(
      parse_options({"--reject-unknown-dynamic-fields", "--ignore-unknown-dynamic-fields"}).ok());
}

TEST(Options, AFlagIsGivenOnceExceptTags) {
  EXPECT_FALSE(parse_options({"-l", "info", "--log-level", "debug"}).ok());
  EXPECT_FALSE(parse_options({"--disable-hot-restart", "--disable-hot-restart"}).ok());
  auto o = parse_options({"--stats-tag", "pod:a", "--stats-tag", "app:b"});
  ASSERT_TRUE(o.ok()) << o.status();
  EXPECT_EQ(o->stats_tags.size(), 2u);
}

TEST(Options, TagsHaveNamesAndValuesThatFitAStatistic) {
  for (const char* tag : {"pod", "pod:", ":a", "a.b:c", "a_b:c", "a b:c", "pod:a.b"}) {
    EXPECT_FALSE(parse_options({"--stats-tag", tag}).ok()) << tag;
  }
  EXPECT_TRUE(parse_options({"--stats-tag", "pod1:a-1/b c"}).ok());
}

TEST(Options, HelpNamesEveryFlagWithItsMeaning) {
  std::string help = help_text();
  for (const char* flag : {"-c",
                           "--config-path",
                           "--config-yaml",
                           "--mode",
                           "--concurrency",
                           "--service-node",
                           "--service-cluster",
                           "--service-zone",
                           "--base-id",
                           "--restart-epoch",
                           "--parent-shutdown-time-s",
                           "--drain-time-s",
                           "--drain-strategy",
                           "--disable-hot-restart",
                           "--local-address-ip-version",
                           "--file-flush-interval-msec",
                           "--allow-unknown-static-fields",
                           "--reject-unknown-dynamic-fields",
                           "--ignore-unknown-dynamic-fields",
                           "--skip-deprecated-logs",
                           "-l",
                           "--log-level",
                           "--component-log-level",
                           "--log-format",
                           "--log-path",
                           "--admin-address-path",
                           "--stats-tag",
                           "--version",
                           "--help"}) {
    EXPECT_NE(help.find(flag), std::string::npos) << flag;
  }
}

TEST(Options, AtLeastOneCpuIsGranted) { EXPECT_GE(granted_cpus(), 1u); }

}  // namespace
}  // namespace remora::server
