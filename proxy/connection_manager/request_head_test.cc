#include "proxy/connection_manager/request_head.h"

#include <gtest/gtest.h>

namespace remora::connection_manager {
namespace {

using http::HeaderId;

class RequestHeadTest : public testing::Test {
 protected:
  HeadProblem check(std::string_view path, std::string_view host = "a.com",
                    std::string_view method = "GET") {
    request_ = http::HeaderMap(arena_);
    request_.add(HeaderId::Method, method);
    request_.add(HeaderId::Authority, host);
    if (!path.empty()) request_.add(HeaderId::Path, path);
    return check_head(config_, 8080, request_);
  }
  std::string path_of(std::string_view path) {
    EXPECT_EQ(check(path), HeadProblem::None) << path;
    return std::string(request_.path());
  }
  std::string host_of(std::string_view host) {
    EXPECT_EQ(check("/", host), HeadProblem::None) << host;
    return std::string(request_.authority());
  }

  BlockPool pool_;
  Arena arena_{pool_};
  HttpConfig config_;
  http::HeaderMap request_{arena_};
};

TEST_F(RequestHeadTest, HostAndPathAreDemanded) {
  EXPECT_EQ(check("/"), HeadProblem::None);
  EXPECT_EQ(check(""), HeadProblem::MissingPath);
  EXPECT_EQ(check("*"), HeadProblem::RelativePath);
  EXPECT_EQ(check("", "a.com:80", "CONNECT"), HeadProblem::None);
  http::HeaderMap no_host(arena_);
  no_host.add(HeaderId::Path, "/");
  EXPECT_EQ(check_head(config_, 80, no_host), HeadProblem::MissingHost);
}

TEST_F(RequestHeadTest, PathsStayAsTheyAreUnlessConfigured) {
  EXPECT_EQ(path_of("/a/../b//c%2fd"), "/a/../b//c%2fd");
  config_.normalize_path = true;
  EXPECT_EQ(path_of("/a/../b//c?x=/../y"), "/b//c?x=/../y");
  config_.merge_slashes = true;
  EXPECT_EQ(path_of("/a/../b//c"), "/b/c");
}

TEST_F(RequestHeadTest, EscapedSlashesAreTreatedAsConfigured) {
  using Escaped = HttpConfig::EscapedSlashes;
  config_.escaped_slashes = Escaped::Reject;
  EXPECT_EQ(check("/a%2Fb"), HeadProblem::PathNormalization);
  EXPECT_EQ(path_of("/ab"), "/ab");
  config_.escaped_slashes = Escaped::UnescapeAndForward;
  EXPECT_EQ(path_of("/a%2Fb"), "/a/b");
  config_.escaped_slashes = Escaped::UnescapeAndRedirect;
  EXPECT_EQ(check("/a%2Fb"), HeadProblem::RedirectToNormalizedPath);
  EXPECT_EQ(request_.path(), "/a/b");
}

TEST_F(RequestHeadTest, DotsHiddenBehindEscapedSlashesAreSeen) {
  config_.escaped_slashes = HttpConfig::EscapedSlashes::UnescapeAndForward;
  config_.normalize_path = true;
  EXPECT_EQ(path_of("/a/..%2fadmin"), "/admin");
  EXPECT_EQ(path_of("/%2e%2e/admin"), "/admin");
}

TEST_F(RequestHeadTest, FragmentsAreRefused) {
  EXPECT_EQ(check("/a#b"), HeadProblem::PathNormalization);
}

TEST_F(RequestHeadTest, PortsAreStrippedAsConfigured) {
  EXPECT_EQ(host_of("a.com:8080"), "a.com:8080");
  config_.strip_matching_host_port = true;
  EXPECT_EQ(host_of("a.com:8080"), "a.com");
  EXPECT_EQ(host_of("a.com:81"), "a.com:81");
  config_.strip_matching_host_port = false;
  config_.strip_any_host_port = true;
  EXPECT_EQ(host_of("a.com:81"), "a.com");
  EXPECT_EQ(host_of("a.com:99999"), "a.com");
  EXPECT_EQ(host_of("[::1]:81"), "[::1]");
  EXPECT_EQ(host_of("[::1]"), "[::1]");
  EXPECT_EQ(host_of("a.com:x"), "a.com:x");
}

TEST_F(RequestHeadTest, ATrailingDotIsStrippedAsConfigured) {
  config_.strip_trailing_host_dot = true;
  EXPECT_EQ(host_of("a.com."), "a.com");
  EXPECT_EQ(host_of("a.com.:80"), "a.com:80");
}

TEST_F(RequestHeadTest, OneExpectationIsUnderstood) {
  check("/");
  request_.add(HeaderId::Expect, "100-Continue");
  EXPECT_TRUE(expects_continue(request_));
  EXPECT_EQ(check_head(config_, 80, request_), HeadProblem::None);
  request_.add(HeaderId::Expect, "a-miracle");
  EXPECT_FALSE(expects_continue(request_));
  EXPECT_EQ(check_head(config_, 80, request_), HeadProblem::Expectation);
}

TEST_F(RequestHeadTest, HopByHopFieldsGoUnlessTheConnectionIsUpgraded) {
  check("/");
  request_.add(HeaderId::Connection, "Upgrade");
  request_.add(HeaderId::Upgrade, "websocket");
  request_.add(HeaderId::KeepAlive, "1");
  request_.add(HeaderId::Te, "gzip");
  remove_request_hop_by_hop(request_);
  EXPECT_EQ(request_.get(HeaderId::Upgrade), "websocket");
  EXPECT_TRUE(request_.has(HeaderId::Connection));
  EXPECT_FALSE(request_.has(HeaderId::KeepAlive));
  EXPECT_FALSE(request_.has(HeaderId::Te));
  request_.set(HeaderId::Connection, "close");
  remove_request_hop_by_hop(request_);
  EXPECT_FALSE(request_.has(HeaderId::Upgrade));
  EXPECT_FALSE(request_.has(HeaderId::Connection));
}

}  // namespace
}  // namespace remora::connection_manager
