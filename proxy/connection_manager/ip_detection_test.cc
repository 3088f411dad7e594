#include "proxy/connection_manager/ip_detection.h"

#include <gtest/gtest.h>

namespace remora::connection_manager {
namespace {

using http::HeaderId;

class IpDetectionTest : public testing::Test {
 protected:
  IpDetectionTest() : request_(arena_) {}
  DetectedIp detect() { return detect_ip(detections_, peer_, request_); }
  DetectedIp detect(std::string_view forwarded_for) {
    request_.set(HeaderId::XForwardedFor, forwarded_for);
    return detect();
  }
  static DetectByForwarded by_ranges() {
    return {.trusted_ranges = {*CidrRange::make("10.0.0.0", 8), *CidrRange::make("127.0.0.0", 8)}};
  }

  BlockPool pool_;
  Arena arena_{pool_};
  http::HeaderMap request_;
  Address peer_ = *Address::from_ip("127.0.0.1", 4000);
  std::vector<IpDetection> detections_;
};

TEST_F(IpDetectionTest, HopsAreCountedFromTheEndOfTheList) {
  detections_ = {DetectByForwarded{.trusted_hops = 1}};
  const DetectedIp two = detect("1.1.1.1, 10.0.0.2");
  EXPECT_EQ(two.address.ip_string(), "1.1.1.1");
  EXPECT_FALSE(two.trusted || two.append);
  detections_ = {DetectByForwarded{}};
  const DetectedIp one = detect("10.0.0.2");
  EXPECT_EQ(one.address.ip_string(), "10.0.0.2");
  EXPECT_TRUE(one.trusted) << "the only address of the list";
  EXPECT_FALSE(detect("junk").address);
}

TEST_F(IpDetectionTest, TrustedRangesAreSkippedFromTheEnd) {
  detections_ = {by_ranges()};
  EXPECT_EQ(detect("9.9.9.9, 1.1.1.1, 10.0.0.2,10.0.0.3").address.ip_string(), "1.1.1.1");
  EXPECT_EQ(detect("10.0.0.1, 10.0.0.2").address.ip_string(), "10.0.0.1") << "all are trusted";
  EXPECT_FALSE(detect("9.9.9.9, junk, 10.0.0.3").address);
}

TEST_F(IpDetectionTest, AListFromAnUntrustedPeerIsNotBelieved) {
  peer_ = *Address::from_ip("8.8.8.8", 1);
  detections_ = {by_ranges()};
  const DetectedIp detected = detect("10.0.0.2");
  EXPECT_EQ(detected.address, peer_);
  EXPECT_FALSE(detected.trusted);
  EXPECT_TRUE(detected.append);
}

TEST_F(IpDetectionTest, AHeaderOfOnesOwnNamesTheClient) {
  detections_ = {DetectByHeader{.name = "x-ip", .trusted = true}};
  request_.add("x-ip", "2001:db8::1");
  request_.add("x-ip", "4.4.4.4");
  const DetectedIp detected = detect();
  EXPECT_EQ(detected.address.ip_string(), "2001:db8::1") << "the first one counts";
  EXPECT_TRUE(detected.trusted);
}

TEST_F(IpDetectionTest, WhoSaysNothingUsefulMayBeRefused) {
  detections_ = {DetectByHeader{.name = "x-ip", .reject_status = 403}};
  EXPECT_EQ(detect().reject_status, 403);
  request_.add("x-ip", "1.2.3.4:5");
  EXPECT_EQ(detect().reject_status, 403);
}

TEST_F(IpDetectionTest, TheNextIsAskedWhenOneDoesNotKnow) {
  detections_ = {DetectByHeader{.name = "x-ip"}, DetectByForwarded{.skip_append = false}};
  const DetectedIp known = detect("7.7.7.7");
  EXPECT_EQ(known.address.ip_string(), "7.7.7.7");
  EXPECT_TRUE(known.append);
  request_.remove(HeaderId::XForwardedFor);
  EXPECT_FALSE(detect().address);
  EXPECT_TRUE(detect().append);
}

}  // namespace
}  // namespace remora::connection_manager
