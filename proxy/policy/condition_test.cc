#include "proxy/policy/condition.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include "proxy/policy/test_facts.h"

namespace remora::policy {
namespace {

using testing::exactly;
using testing::text;

StringMatch regex(const char* pattern) {
  StringMatch out;
  out.kind = StringMatch::Kind::Regex;
  out.regex = std::make_shared<const re2::RE2>(pattern);
  return out;
}

class ConditionTest : public ::testing::Test, protected testing::TestFacts {
 protected:
  template <class Leaf>
  bool holds(Leaf leaf) {
    return Condition{std::move(leaf)}.holds(facts());
  }
  static router::HeaderMatch header(StringMatch match, bool invert = false) {
    router::HeaderMatch out;
    out.name = "x-role";
    out.kind = router::HeaderMatch::Kind::String;
    out.string = std::move(match);
    out.invert = invert;
    return out;
  }
  bool grants(router::HeaderMatch match) {
    return holds(HeaderIs{std::move(match), Toward::Grant});
  }
  bool refuses(router::HeaderMatch match) {
    return holds(HeaderIs{std::move(match), Toward::Refuse});
  }
  bool peer_is(std::string_view name, Toward toward = Toward::Grant) {
    return holds(Authenticated{exactly(name), toward});
  }
};

TEST_F(ConditionTest, OneValueIsHeldAgainstTheMatchWhateverItLeadsTo) {
  request.add("x-role", "admin");
  EXPECT_TRUE(grants(header(exactly("admin"))));
  EXPECT_TRUE(refuses(header(exactly("admin"))));
  EXPECT_FALSE(grants(header(exactly("admin"), true)));
  EXPECT_FALSE(refuses(header(exactly("admin"), true)));
}

TEST_F(ConditionTest, AnAbsentHeaderSatisfiesNoConditionOnItsValue) {
  EXPECT_FALSE(grants(header(exactly("admin"))));
  EXPECT_FALSE(grants(header(exactly("admin"), true)));
  router::HeaderMatch as_empty = header(exactly("admin"), true);
  as_empty.treat_missing_as_empty = true;
  EXPECT_TRUE(grants(as_empty));
}

TEST_F(ConditionTest, EveryOneOfSeveralValuesMustGrant) {
  request.add("x-role", "user");
  request.add("x-role", "admin");
  EXPECT_FALSE(grants(header(exactly("admin"))));
  EXPECT_FALSE(grants(header(exactly("admin"), true)));
  EXPECT_TRUE(grants(header(exactly("guest"), true)));
}

TEST_F(ConditionTest, OneOfSeveralValuesRefuses) {
  request.add("x-role", "user");
  request.add("x-role", "admin");
  EXPECT_TRUE(refuses(header(exactly("admin"))));
  EXPECT_TRUE(refuses(header(exactly("user"))));
  EXPECT_TRUE(refuses(header(exactly("admin"), true))) << "'user' is not admin";
  EXPECT_TRUE(refuses(header(exactly("user,admin")))) << "some read them as one list";
}

TEST_F(ConditionTest, BytesThatAreNoTextDoNotGetPastARegularExpression) {
  request.add("x-role", "adm\xffin");
  EXPECT_TRUE(refuses(header(regex("adm.in"))));
  EXPECT_FALSE(grants(header(regex("adm.in"))));
  EXPECT_FALSE(grants(header(regex("adm.in"), true)));
  EXPECT_TRUE(refuses(header(regex("adm.in"), true)));
}

TEST_F(ConditionTest, HostIsTheAuthority) {
  router::HeaderMatch match = header(exactly("app.local"));
  match.name = "host";
  EXPECT_TRUE(grants(match));
}

TEST_F(ConditionTest, OverTcpThereAreNoHeadersAndNoPath) {
  router::HeaderMatch absent;
  absent.name = "x-role";
  absent.present = false;
  const Facts tcp = facts_of(connection);
  EXPECT_FALSE((Condition{HeaderIs{absent, Toward::Grant}}.holds(tcp)));
  EXPECT_FALSE((Condition{PathIs{text(StringMatch::Kind::Prefix, "/")}}.holds(tcp)));
}

TEST_F(ConditionTest, TheQueryIsNoPartOfThePath) {
  EXPECT_TRUE(holds(PathIs{exactly("/index")}));
  EXPECT_FALSE(holds(PathIs{text(StringMatch::Kind::Contains, "q=")}));
}

TEST_F(ConditionTest, ARequestWithoutAPathMatchesNone) {
  request.remove(http::HeaderId::Path);
  EXPECT_FALSE(holds(PathIs{exactly("")}));
}

TEST_F(ConditionTest, AddressesAreThoseOfTheirEnds) {
  const auto in = [&](Whose whose, const char* ip) {
    return holds(AddressIn{whose, *CidrRange::make(ip, 32)});
  };
  EXPECT_TRUE(in(Whose::Connection, "10.1.1.1"));
  EXPECT_TRUE(in(Whose::DirectRemote, "10.9.9.9"));
  EXPECT_TRUE(in(Whose::Remote, "192.0.2.7"));
  EXPECT_TRUE(in(Whose::Local, "10.2.2.2"));
  EXPECT_FALSE(in(Whose::DirectRemote, "10.1.1.1"));
}

TEST_F(ConditionTest, AnIpv4RangeHoldsForTheMappedForm) {
  connection.direct_remote = *Address::from_ip("::ffff:10.3.3.3", 1);
  EXPECT_TRUE(holds(AddressIn{Whose::DirectRemote, *CidrRange::make("10.3.0.0", 16)}));
}

TEST_F(ConditionTest, APortRangeDoesNotIncludeItsEnd) {
  EXPECT_TRUE(holds(LocalPortIn{8080, 8081}));
  EXPECT_FALSE(holds(LocalPortIn{8000, 8080}));
  connection.local = *Address::from_unix_path("/run/x");
  EXPECT_FALSE(holds(LocalPortIn{0, 65536}));
}

TEST_F(ConditionTest, OnlyAVerifiedPeerIsAuthenticated) {
  EXPECT_FALSE(holds(Authenticated{})) << "plain";
  connection.tls = &tls;
  EXPECT_FALSE(holds(Authenticated{})) << "no certificate";
  tls.peer = std::make_shared<CertificateIdentity>();
  EXPECT_FALSE(holds(Authenticated{})) << "not verified";
  tls.peer_verified = true;
  EXPECT_TRUE(holds(Authenticated{}));
}

TEST_F(ConditionTest, AGrantedPeerIsKnownByTheFirstKindOfNameItHas) {
  peer().subject = "CN=x";
  EXPECT_TRUE(peer_is("CN=x"));
  peer().dns_sans = {"a.local", "b.local"};
  EXPECT_FALSE(peer_is("CN=x"));
  EXPECT_TRUE(peer_is("b.local"));
  peer().uri_sans = {"spiffe://td/ns/a/sa/b"};
  EXPECT_FALSE(peer_is("b.local"));
  EXPECT_TRUE(peer_is("spiffe://td/ns/a/sa/b"));
}

TEST_F(ConditionTest, ASpiffeIdAmongDnsNamesIsNone) {
  peer().dns_sans = {"spiffe://td/ns/a/sa/b"};
  EXPECT_FALSE(peer_is("spiffe://td/ns/a/sa/b"));
}

TEST_F(ConditionTest, ARefusedPeerIsKnownByAnyOfItsNames) {
  peer().uri_sans = {"spiffe://td/ns/a/sa/b"};
  peer().dns_sans = {"bad.local"};
  peer().subject = "CN=bad";
  EXPECT_TRUE(peer_is("bad.local", Toward::Refuse));
  EXPECT_TRUE(peer_is("CN=bad", Toward::Refuse));
}

TEST_F(ConditionTest, MetadataIsFoundByPath) {
  connection.metadata.at("jwt").emplace("claims", MetadataStruct{{"role", MetadataValue("admin")}});
  MetadataIs is;
  is.match = {"jwt", {"claims", "role"}, ValueMatch{exactly("admin")}};
  EXPECT_TRUE(holds(is));
  is.match.path = {"claims", "none"};
  EXPECT_FALSE(holds(is));
  is.match.invert = true;
  EXPECT_TRUE(holds(is));
}

TEST_F(ConditionTest, FilterStateIsTheStreamsOrElseTheConnections) {
  connection.filter_state.set("who", "connection");
  EXPECT_TRUE(holds(FilterStateIs{"who", exactly("connection")}));
  stream_state.set("who", "stream");
  EXPECT_TRUE(holds(FilterStateIs{"who", exactly("stream")}));
  EXPECT_FALSE(holds(FilterStateIs{"other", exactly("")}));
}

TEST_F(ConditionTest, FilterStateMayBeAnAddress) {
  FilterStateIs::InRanges in{{*CidrRange::make("10.0.0.0", 8)}, false};
  for (const char* good : {"10.1.2.3", "10.1.2.3:80"}) {
    stream_state.set("ip", good);
    EXPECT_TRUE(holds(FilterStateIs{"ip", in})) << good;
  }
  in.invert = true;
  for (const char* bad : {"10.1.2.3", "nonsense", "", ":80"}) {
    stream_state.set("ip", bad);
    EXPECT_FALSE(holds(FilterStateIs{"ip", in})) << bad;
  }
}

TEST_F(ConditionTest, GroupsAndNegation) {
  const auto port = [](uint32_t port) { return Condition{LocalPortIn{port, port + 1}}; };
  AllOf all;
  all.of.push_back(port(8080));
  all.of.push_back(port(1));
  EXPECT_FALSE(holds(std::move(all)));
  AnyOf any;
  any.of.push_back(port(1));
  any.of.push_back(port(8080));
  EXPECT_TRUE(holds(std::move(any)));
  EXPECT_TRUE(holds(Not{std::make_unique<const Condition>(port(1))}));
}

TEST_F(ConditionTest, WhatFiltersLeaveIsReadOnlyWhereItIsAskedFor) {
  EXPECT_FALSE(Condition{Always{}}.reads_what_filters_leave());
  AnyOf any;
  any.of.push_back(Condition{Always{}});
  any.of.push_back(Condition{
      Not{std::make_unique<const Condition>(Condition{FilterStateIs{"k", exactly("")}})}});
  EXPECT_TRUE(Condition{std::move(any)}.reads_what_filters_leave());
}

TEST(ValueMatchTest, JudgesByKind) {
  const MetadataValue number(2.5), truth(true), word("a"), null;
  const MetadataValue list(MetadataList{MetadataValue("a"), MetadataValue(1.0)});
  EXPECT_TRUE(ValueMatch{2.5}.matches(&number));
  EXPECT_TRUE((ValueMatch{ValueMatch::Range{2.5, 3}}.matches(&number)));
  EXPECT_FALSE((ValueMatch{ValueMatch::Range{1, 2.5}}.matches(&number)));
  EXPECT_FALSE(ValueMatch{2.5}.matches(&word));
  EXPECT_TRUE(ValueMatch{true}.matches(&truth));
  EXPECT_TRUE(ValueMatch{ValueMatch::Null{}}.matches(&null));
  EXPECT_FALSE(ValueMatch{ValueMatch::Null{}}.matches(nullptr));
  EXPECT_TRUE(ValueMatch{ValueMatch::Present{}}.matches(&word));
  EXPECT_FALSE(ValueMatch{ValueMatch::Present{}}.matches(nullptr));
  EXPECT_FALSE(ValueMatch{ValueMatch::Present{false}}.matches(nullptr));
  ValueMatch::OneOfList one;
  one.element.push_back(ValueMatch{exactly("a")});
  EXPECT_TRUE(ValueMatch{one}.matches(&list));
  EXPECT_FALSE(ValueMatch{one}.matches(&word));
}

}  // namespace
}  // namespace remora::policy
