#include "proxy/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>

namespace remora {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class LogTest : public testing::Test {
 protected:
  LogTest() : path_(testing::TempDir() + "/log_test." + std::to_string(getpid())) {
    std::remove(path_.c_str());
    EXPECT_TRUE(open_log_file(path_).ok());
    set_log_level(LogLevel::info);
    set_log_format(kDefaultLogFormat);
  }
  ~LogTest() override { std::remove(path_.c_str()); }

  static std::string read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string path_;
};

TEST_F(LogTest, WritesEnvoysDefaultFormat) {
  LOG_WARNING(upstream, "host {} removed", "10.0.0.1:80");
  EXPECT_THAT(read(path_),
              MatchesRegex("\\[20..-..-.. ..:..:..\\....\\]\\[[0-9]+\\]\\[warning\\]\\[upstream\\] "
                           "\\[.*log_test.cc:[0-9]+\\] host 10.0.0.1:80 removed\n"));
}

TEST_F(LogTest, ADisabledLineDoesNotEvaluateItsArguments) {
  int evaluated = 0;
  LOG_DEBUG(http, "{}", ++evaluated);
  EXPECT_EQ(evaluated, 0);
  EXPECT_EQ(read(path_), "");
}

TEST_F(LogTest, ComponentsHaveLevelsOfTheirOwn) {
  ASSERT_TRUE(set_component_log_levels("http:trace,upstream:off").ok());
  LOG_TRACE(http, "seen");
  LOG_CRITICAL(upstream, "unseen");
  LOG_DEBUG(router, "unseen");
  EXPECT_THAT(read(path_), HasSubstr("[trace][http]"));
  EXPECT_THAT(read(path_), testing::Not(HasSubstr("unseen")));
}

TEST_F(LogTest, ABadComponentListChangesNothing) {
  EXPECT_FALSE(set_component_log_levels("http:trace,nonsense:info").ok());
  EXPECT_FALSE(set_component_log_levels("http:loud").ok());
  EXPECT_FALSE(set_component_log_levels("http").ok());
  EXPECT_EQ(log_level(LogComponent::http), LogLevel::info);
}

TEST_F(LogTest, WarnIsWarning) {
  EXPECT_EQ(parse_log_level("warn"), LogLevel::warning);
  EXPECT_EQ(parse_log_level("warning"), LogLevel::warning);
  EXPECT_EQ(parse_log_level("WARN"), std::nullopt);
}

TEST_F(LogTest, EscapesMessagesWhereTheFormatAsks) {
  set_log_format("%_");
  LOG_INFO(main, "two\nlines");
  set_log_format("{\"msg\":\"%j\"}");
  LOG_INFO(main, "say \"a\\b\"\x01");
  EXPECT_EQ(read(path_), "two\\nlines\n{\"msg\":\"say \\\"a\\\\b\\\"\\u0001\"}\n");
}

TEST_F(LogTest, ReopensAfterRotation) {
  set_log_format("%v");
  LOG_INFO(main, "first");
  const std::string rotated = path_ + ".1";
  ASSERT_EQ(std::rename(path_.c_str(), rotated.c_str()), 0);
  LOG_INFO(main, "still first");
  ASSERT_TRUE(reopen_log_file().ok());
  LOG_INFO(main, "second");
  EXPECT_EQ(read(rotated), "first\nstill first\n");
  EXPECT_EQ(read(path_), "second\n");
  std::remove(rotated.c_str());
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsAnErrorAndTheOldOneStays) {
  set_log_format("%v");
  EXPECT_FALSE(open_log_file("/nonexistent/dir/log").ok());
  LOG_INFO(main, "here");
  EXPECT_EQ(read(path_), "here\n");
}

}  // namespace
}  // namespace remora
