#include "proxy/telemetry/connection_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "proxy/net/listener_config.h"
#include "proxy/telemetry/access_log.h"

namespace remora::telemetry {
namespace {

TEST(ConnectionLog, AListenerLogsItsConnectionsWhenTheyAreOver) {
  const std::string path =
      ::testing::TempDir() + "/connection_log_test." + std::to_string(getpid());
  {
    EventLoop loop;
    WorkerContext worker(loop, 0, 1);
    AccessLogSinks sinks(1000, 1);
    auto format = std::make_shared<LogFormat>(*LogFormat::text(
        "%DOWNSTREAM_REMOTE_ADDRESS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESPONSE_FLAGS% "
        "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% %PROTOCOL%\n"));
    ListenerConfig listener;
    listener.access_logs.push_back(std::make_shared<AccessLog>(**sinks.file(path), format));
    ConnectionFacts facts;
    facts.remote = *Address::from_ip("10.0.0.1", 1234);

    loop.run_once(0);
    ConnectionEnd served{listener, facts};
    served.bytes_received = 5;
    served.bytes_sent = 7;
    served.duration_us = 3000;
    served.termination_details = "idle timeout";
    log_connection(worker, served);

    ConnectionEnd refused{listener, facts};
    refused.no_filter_chain = true;
    log_connection(worker, refused);
  }
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}),
            "10.0.0.1:1234 5 7 3 - - idle_timeout -\n"
            "10.0.0.1:1234 0 0 0 NR filter_chain_not_found - -\n");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace remora::telemetry
