#include "proxy/connection_manager/forwarded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace remora::connection_manager {
namespace {

using http::HeaderId;

class ForwardedTest : public testing::Test {
 protected:
  ForwardedTest() : request_(arena_) {
    config_.use_remote_address = true;
    config_.local_address = "10.9.9.9";
  }
  Origin apply() { return apply_forwarded(config_, {peer_, secure_}, internal_only_, request_); }
  std::string value(HeaderId id) {
    return request_.has(id) ? std::string(request_.get(id)) : "(none)";
  }
  void trust_private_networks() { config_.internal_ranges = {*CidrRange::make("10.0.0.0", 8)}; }

  BlockPool pool_;
  Arena arena_{pool_};
  HttpConfig config_;
  Address peer_ = *Address::from_ip("10.1.1.1", 4000);
  bool secure_ = false;
  std::vector<std::string> internal_only_;
  http::HeaderMap request_;
};

TEST_F(ForwardedTest, ThePeerIsAppendedAndItsSchemeIsBelieved) {
  request_.add(HeaderId::XForwardedFor, "1.2.3.4");
  request_.add(HeaderId::XForwardedProto, "https");
  Origin origin = apply();
  EXPECT_EQ(value(HeaderId::XForwardedFor), "1.2.3.4,10.1.1.1");
  EXPECT_EQ(value(HeaderId::XForwardedProto), "http");
  EXPECT_EQ(value(HeaderId::Scheme), "http");
  EXPECT_EQ(value(HeaderId::XEnvoyExternalAddress), "10.1.1.1");
  EXPECT_EQ(origin.remote, peer_);
  EXPECT_TRUE(origin.edge);
}

TEST_F(ForwardedTest, ALoopbackPeerIsNamedByTheMachinesAddress) {
  peer_ = *Address::from_ip("127.0.0.1", 4000);
  apply();
  EXPECT_EQ(value(HeaderId::XForwardedFor), "10.9.9.9");
  EXPECT_EQ(value(HeaderId::XEnvoyExternalAddress), "127.0.0.1");
}

TEST_F(ForwardedTest, SeveralListsAreOneList) {
  request_.add(HeaderId::XForwardedFor, "1.1.1.1");
  request_.add(HeaderId::XForwardedFor, "2.2.2.2");
  apply();
  EXPECT_EQ(value(HeaderId::XForwardedFor), "1.1.1.1,2.2.2.2,10.1.1.1");
  EXPECT_EQ(request_.count(HeaderId::XForwardedFor), 1u);
}

TEST_F(ForwardedTest, TrustedHopsNameTheClient) {
  config_.xff_num_trusted_hops = 1;
  request_.add(HeaderId::XForwardedFor, "9.9.9.9, 1.2.3.4");
  request_.add(HeaderId::XForwardedProto, "https");
  Origin origin = apply();
  EXPECT_EQ(origin.remote.ip_string(), "1.2.3.4");
  EXPECT_EQ(value(HeaderId::XForwardedProto), "https");
}

TEST_F(ForwardedTest, WithoutRemoteAddressTheHeaderIsLeftAsItCame) {
  config_.use_remote_address = false;
  request_.add(HeaderId::XForwardedFor, "9.9.9.9, 1.2.3.4");
  request_.add(HeaderId::XForwardedProto, "https");
  Origin origin = apply();
  EXPECT_EQ(value(HeaderId::XForwardedFor), "9.9.9.9, 1.2.3.4");
  EXPECT_EQ(value(HeaderId::XForwardedProto), "https");
  EXPECT_EQ(value(HeaderId::Scheme), "https");
  EXPECT_EQ(origin.remote.ip_string(), "1.2.3.4");
  EXPECT_FALSE(origin.edge);
  EXPECT_EQ(value(HeaderId::XEnvoyExternalAddress), "(none)");
}

TEST_F(ForwardedTest, JunkInTheListNamesNobody) {
  config_.use_remote_address = false;
  for (std::string_view junk : {"", "unknown", "1.2.3", "1.2.3.4:80x", "::1::", "1.2.3.4 5"}) {
    EXPECT_FALSE(address_from_end(junk, 0)) << junk;
  }
  EXPECT_FALSE(address_from_end("1.1.1.1", 1));
  EXPECT_EQ(address_from_end("1.1.1.1, 2.2.2.2", 1).ip_string(), "1.1.1.1");
  request_.add(HeaderId::XForwardedFor, "unknown");
  EXPECT_EQ(apply().remote, peer_);
}

TEST_F(ForwardedTest, NobodyIsInternalUnlessConfigured) {
  EXPECT_FALSE(apply().internal);
  EXPECT_EQ(value(HeaderId::XEnvoyInternal), "(none)");
}

TEST_F(ForwardedTest, ANeighbourInAnInternalRangeIsInternalAndBelieved) {
  trust_private_networks();
  request_.add(HeaderId::XEnvoyRetryOn, "5xx");
  internal_only_ = {"x-secret"};
  request_.add("x-secret", "1");
  EXPECT_TRUE(apply().internal);
  EXPECT_EQ(value(HeaderId::XEnvoyInternal), "true");
  EXPECT_EQ(value(HeaderId::XEnvoyRetryOn), "5xx");
  EXPECT_NE(request_.find("x-secret"), nullptr);
}

TEST_F(ForwardedTest, WhoeverForwardsForSomebodyElseIsNotInternal) {
  trust_private_networks();
  request_.add(HeaderId::XForwardedFor, "10.5.5.5");
  request_.add(HeaderId::XEnvoyInternal, "true");
  EXPECT_FALSE(apply().internal);
  EXPECT_EQ(value(HeaderId::XEnvoyInternal), "(none)");
}

TEST_F(ForwardedTest, StrangersMayNotSteerTheProxy) {
  internal_only_ = {"x-secret"};
  for (std::string_view name :
       {"x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries",
        "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-alt-stat-name", "x-envoy-force-trace",
        "x-envoy-ip-tags", "x-envoy-hedge-on-per-try-timeout", "x-envoy-decorator-operation",
        "x-envoy-original-path", "x-secret", "x-forwarded-client-cert"}) {
    request_.add(name, "1");
  }
  request_.add("x-envoy-foo", "kept");
  apply();
  EXPECT_EQ(request_.find("x-envoy-foo")->value, "kept");
  for (const http::HeaderEntry& entry : request_.entries()) {
    EXPECT_TRUE(entry.removed || entry.value != "1") << entry.name;
  }
}

TEST_F(ForwardedTest, TheSchemeMayBeOverwritten) {
  config_.scheme_to_overwrite = "https";
  request_.add(HeaderId::XForwardedProto, "ftp");
  apply();
  EXPECT_EQ(value(HeaderId::XForwardedProto), "https");
  EXPECT_EQ(value(HeaderId::Scheme), "https");
}

TEST_F(ForwardedTest, APortThatSomebodyInFrontToldDecidesTheScheme) {
  config_.https_ports = {443};
  config_.http_ports = {80};
  const auto scheme = [&](uint16_t port, bool secure, bool restored) {
    request_.clear();
    apply_forwarded(config_, {peer_, secure, nullptr, port, restored}, internal_only_, request_);
    return value(HeaderId::XForwardedProto);
  };
  EXPECT_EQ(scheme(443, false, true), "https");
  EXPECT_EQ(scheme(80, true, true), "http");
  EXPECT_EQ(scheme(443, false, false), "http") << "our own port says nothing";
  EXPECT_EQ(scheme(8080, true, true), "https");
}

TEST_F(ForwardedTest, ThePortIsTheOneThatTheClientMeant) {
  config_.append_x_forwarded_port = true;
  request_.add(HeaderId::XForwardedPort, "7");
  const auto port = [&] {
    apply_forwarded(config_, {peer_, false, nullptr, 8443, false}, internal_only_, request_);
    return value(HeaderId::XForwardedPort);
  };
  config_.xff_num_trusted_hops = 1;
  EXPECT_EQ(port(), "7") << "a trusted proxy has said it";
  config_.xff_num_trusted_hops = 0;
  EXPECT_EQ(port(), "8443");
  config_.use_remote_address = false;
  request_.remove(HeaderId::XForwardedPort);
  EXPECT_EQ(port(), "8443");
}

TEST_F(ForwardedTest, TheServiceThatAsksIsNamed) {
  config_.user_agent = "shop";
  config_.own_node_id = "shop-1";
  config_.via = "mesh";
  request_.add(HeaderId::XEnvoyDownstreamServiceCluster, "liar");
  request_.add(HeaderId::Via, "1.1 x");
  apply();
  EXPECT_EQ(value(HeaderId::XEnvoyDownstreamServiceCluster), "shop");
  EXPECT_EQ(value(HeaderId::XEnvoyDownstreamServiceNode), "shop-1");
  EXPECT_EQ(value(HeaderId::UserAgent), "shop");
  EXPECT_EQ(value(HeaderId::Via), "1.1 x, mesh");
  request_.set(HeaderId::UserAgent, "curl");
  apply();
  EXPECT_EQ(value(HeaderId::UserAgent), "curl");
}

TEST_F(ForwardedTest, DetectionTakesThePlaceOfTheHeader) {
  config_.use_remote_address = false;
  config_.ip_detections = {DetectByHeader{.name = "x-ip", .trusted = true, .reject_status = 401}};
  trust_private_networks();
  EXPECT_EQ(apply().reject_status, 401);
  request_.add("x-ip", "10.2.3.4");
  const Origin origin = apply();
  EXPECT_EQ(origin.remote.ip_string(), "10.2.3.4");
  EXPECT_TRUE(origin.internal);
  EXPECT_FALSE(request_.has(HeaderId::XForwardedFor));
  config_.ip_detections = {DetectByForwarded{.skip_append = false}};
  EXPECT_EQ(apply().remote, peer_) << "nobody is named";
  EXPECT_EQ(value(HeaderId::XForwardedFor), "10.1.1.1");
}

}  // namespace
}  // namespace remora::connection_manager
