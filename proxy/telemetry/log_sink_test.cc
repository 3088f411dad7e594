#include "proxy/telemetry/log_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <thread>

#include "proxy/telemetry/access_log.h"

namespace remora::telemetry {
namespace {

using ::testing::StartsWith;

constexpr uint64_t kNever = 3'600'000;

std::string contents(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class LogSinkTest : public ::testing::Test {
 protected:
  ~LogSinkTest() override {
    std::remove(path_.c_str());
    std::remove((path_ + ".1").c_str());
  }

  void write(LogSink& sink, std::string_view entry) {
    sink.buffer_of(worker_).append(entry);
    sink.entry_added(worker_);
  }

  const std::string path_ = ::testing::TempDir() + "/log_sink_test." + std::to_string(getpid());
  EventLoop loop_;
  WorkerContext worker_{loop_, 0, 1};
};

TEST_F(LogSinkTest, EntriesWaitForTheInterval) {
  AccessLogSinks sinks(kNever, 1);
  LogSink* sink = *sinks.file(path_);
  write(*sink, "one\n");
  loop_.run_once(0);
  EXPECT_EQ(contents(path_), "");
}

TEST_F(LogSinkTest, WhenTheIntervalIsOverTheyAreWritten) {
  AccessLogSinks sinks(0, 1);
  LogSink* sink = *sinks.file(path_);
  write(*sink, "one\n");
  write(*sink, "two\n");
  for (int turn = 0; turn < 10 && contents(path_).empty(); ++turn) loop_.run_once(10);
  EXPECT_EQ(contents(path_), "one\ntwo\n");
}

TEST_F(LogSinkTest, AFullBufferIsWrittenInWholeEntries) {
  AccessLogSinks sinks(kNever, 1);
  LogSink* sink = *sinks.file(path_);
  const std::string entry = std::string(40'000, 'x') + "\n";
  write(*sink, entry);
  EXPECT_EQ(contents(path_), "");
  write(*sink, entry);
  EXPECT_EQ(contents(path_), entry);
}

TEST_F(LogSinkTest, WhatIsLeftIsWrittenAtTheEnd) {
  {
    AccessLogSinks sinks(kNever, 1);
    write(**sinks.file(path_), "last\n");
  }
  EXPECT_EQ(contents(path_), "last\n");
}

TEST_F(LogSinkTest, ASinkMayOutliveTheLoopsOfItsWorkers) {
  AccessLogSinks sinks(kNever, 1);
  LogSink* sink = *sinks.file(path_);
  EventLoop loop;
  WorkerContext worker(loop, 1, 1);
  sink->buffer_of(worker).append("x\n");
  sink->entry_added(worker);
}

TEST_F(LogSinkTest, FilesAreAppendedTo) {
  std::ofstream(path_) << "before\n";
  {
    AccessLogSinks sinks(kNever, 1);
    write(**sinks.file(path_), "after\n");
  }
  EXPECT_EQ(contents(path_), "before\nafter\n");
}

TEST_F(LogSinkTest, OnePathIsOneSink) {
  AccessLogSinks sinks(kNever, 1);
  EXPECT_EQ(*sinks.file(path_), *sinks.file(path_));
  EXPECT_EQ(sinks.standard_output(), sinks.standard_output());
  EXPECT_NE(sinks.standard_output(), sinks.standard_error());
}

TEST_F(LogSinkTest, ARotatedFileIsOpenedAgain) {
  {
    AccessLogSinks sinks(kNever, 1);
    LogSink* sink = *sinks.file(path_);
    const std::string big(70'000, 'x');
    write(*sink, big);
    ASSERT_EQ(std::rename(path_.c_str(), (path_ + ".1").c_str()), 0);
    sinks.reopen();
    write(*sink, "new\n");
    EXPECT_EQ(contents(path_ + ".1"), big);
  }
  EXPECT_EQ(contents(path_), "new\n");
}

TEST_F(LogSinkTest, AFileThatCannotBeOpenedIsAnError) {
  AccessLogSinks sinks(kNever, 1);
  auto sink = sinks.file("/no/such/folder/log");
  ASSERT_FALSE(sink.ok());
  EXPECT_THAT(std::string(sink.status().message()),
              StartsWith("unable to open file '/no/such/folder/log'"));
}

TEST_F(LogSinkTest, AnAccessLogWritesWhatItsFilterWants) {
  {
    AccessLogSinks sinks(kNever, 1);
    auto format = std::make_shared<LogFormat>(*LogFormat::text("%RESPONSE_CODE%\n"));
    AccessLog log(**sinks.file(path_), format,
                  {LogFilter::StatusCode{{LogFilter::Comparison::Op::AtLeast, 500}}});
    http::StreamInfo info;
    for (uint16_t code : {200, 503, 404, 500}) {
      info.response_code = code;
      log.log(worker_, info);
    }
  }
  EXPECT_EQ(contents(path_), "503\n500\n");
}

TEST_F(LogSinkTest, WorkersDoNotMixTheirLines) {
  constexpr uint32_t kWorkers = 4, kLines = 5000;
  {
    AccessLogSinks sinks(kNever, kWorkers);
    LogSink* sink = *sinks.file(path_);
    std::vector<std::thread> threads;
    for (uint32_t index = 0; index < kWorkers; ++index) {
      threads.emplace_back([sink, index] {
        EventLoop loop;
        WorkerContext worker(loop, index, 1);
        const std::string line(50, static_cast<char>('a' + index));
        for (uint32_t i = 0; i < kLines; ++i) {
          sink->buffer_of(worker).append(line).append("\n");
          sink->entry_added(worker);
        }
      });
    }
    for (auto& thread : threads) thread.join();
  }
  std::ifstream in(path_);
  uint32_t lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    ASSERT_EQ(line, std::string(50, line[0])) << "line " << lines;
  }
  EXPECT_EQ(lines, kWorkers * kLines);
}

}  // namespace
}  // namespace remora::telemetry
