// Names in certificates against rules.
#include "proxy/tls/names.h"

#include <gtest/gtest.h>

namespace remora::tls {
namespace {

TEST(NamesTest, AStarStandsForOneLabelOrPartOfIt) {
  EXPECT_TRUE(dns_name_matches("a.test", "a.test"));
  EXPECT_TRUE(dns_name_matches("A.Test", "a.tesT"));
  EXPECT_TRUE(dns_name_matches("a.b.test", "*.b.test"));
  EXPECT_TRUE(dns_name_matches("foobar.b.test", "f*r.b.test"));
  EXPECT_FALSE(dns_name_matches("a.b.test", "*.test"));
  EXPECT_FALSE(dns_name_matches("b.test", "*.b.test"));
  EXPECT_FALSE(dns_name_matches(".b.test", "*.b.test"));
  EXPECT_FALSE(dns_name_matches("a.b.test", "a.*.test"));
  EXPECT_FALSE(dns_name_matches("ab.b.test", "*a*.b.test"));
  EXPECT_FALSE(dns_name_matches("xn--abc.test", "xn--*.test"));
  EXPECT_FALSE(dns_name_matches("a", "*"));
  EXPECT_FALSE(dns_name_matches("fr.b.test", "foo*r.b.test"));
  EXPECT_FALSE(dns_name_matches("*.test", "a.test"));
}

TEST(NamesTest, AddressesAreComparedAsAddresses) {
  EXPECT_TRUE(same_ip("::1", "0:0:0:0:0:0:0:1"));
  EXPECT_FALSE(same_ip("1.2.3.4", "::ffff:1.2.3.4"));
  EXPECT_FALSE(same_ip("a.test", "a.test"));
}

TEST(NamesTest, ATrustDomainNeedsAPath) {
  EXPECT_EQ(trust_domain_of("spiffe://mesh/a/b"), "mesh");
  EXPECT_EQ(trust_domain_of("spiffe://mesh/"), "mesh");
  EXPECT_EQ(trust_domain_of("spiffe://mesh"), "");
  EXPECT_EQ(trust_domain_of("spiffe:///a"), "");
  EXPECT_EQ(trust_domain_of("http://mesh/a"), "");
  EXPECT_EQ(trust_domain_of("Spiffe://mesh/a"), "");
}

TEST(NamesTest, AnIpIsLookedForAmongIpsOnly) {
  CertificateIdentity identity;
  identity.dns_sans = {"10.0.0.1", "*.test"};
  EXPECT_FALSE(stands_for("10.0.0.1", identity));
  EXPECT_TRUE(stands_for("a.test", identity));
  identity.ip_sans = {"10.0.0.1"};
  EXPECT_TRUE(stands_for("10.0.0.1", identity));
}

}  // namespace
}  // namespace remora::tls
