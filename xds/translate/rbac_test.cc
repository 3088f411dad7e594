#include "xds/translate/rbac.h"

#include <gmock/gmock.h>

#include "api/rbac_http.pb.h"
#include "xds/translate/test_support.h"
#include "xds/translate/uri_template.h"

namespace remora::xds::translate {
namespace {

using ::testing::HasSubstr;
using Proto = envoy::extensions::filters::http::rbac::v3::RBAC;
namespace rbac = envoy::config::rbac::v3;

class RbacTest : public TranslateTest {
 protected:
  absl::StatusOr<RbacEngines> compile(std::string_view yaml,
                                      PolicyLayer layer = PolicyLayer::Http) {
    return rbac_engines(from_yaml<Proto>(yaml), layer, context, Path());
  }
  std::string refusal(std::string_view yaml, PolicyLayer layer = PolicyLayer::Http) {
    const auto engines = compile(yaml, layer);
    return engines.ok() ? "(accepted)" : std::string(engines.status().message());
  }
  static std::string policy(std::string_view permission, std::string_view principal) {
    return "rules: {policies: {p: {permissions: [" + std::string(permission) + "], principals: [" +
           std::string(principal) + "]}}}";
  }
};

TEST_F(RbacTest, NothingIsNothingAndEmptyRulesAreRules) {
  EXPECT_EQ(compile("{}")->enforced, nullptr);
  ASSERT_NE(compile("rules: {}")->enforced, nullptr);
  ConnectionFacts facts;
  EXPECT_FALSE(compile("rules: {}")->enforced->decide(policy::facts_of(facts)).allowed);
  EXPECT_FALSE(compile("matcher: {}")->enforced->decide(policy::facts_of(facts)).allowed);
}

TEST_F(RbacTest, AcceptsTheWholeLanguage) {
  const std::string string = "{exact: a}";
  const std::string metadata =
      "{filter: f, path: [{key: a}, {key: b}], value: {or_match: {value_matchers: ["
      "{string_match: {safe_regex: {regex: a+}}}, {list_match: {one_of: {bool_match: true}}}, "
      "{double_match: {range: {start: 1, end: 2}}}, {null_match: {}}, {present_match: true}]}}}";
  const std::vector<std::string> permissions = {
      "{any: true}",
      "{header: {name: X-A, string_match: {prefix: a}, invert_match: true}}",
      "{url_path: {path: " + string + "}}",
      "{destination_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}",
      "{destination_port: 80}",
      "{destination_port_range: {start: 0, end: 65536}}",
      "{metadata: " + metadata + "}",
      "{sourced_metadata: {metadata_matcher: " + metadata + "}}",
      "{requested_server_name: " + string + "}",
      "{not_rule: {any: true}}",
      "{and_rules: {rules: [{any: true}, {or_rules: {rules: [{any: true}]}}]}}",
      "{uri_template: {name: u, typed_config: {'@type': type.googleapis.com/"
      "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, path_template: "
      "'/a/*'}}}",
  };
  for (const std::string& permission : permissions) {
    EXPECT_EQ(refusal(policy(permission, "{any: true}")), "(accepted)") << permission;
  }
  const std::vector<std::string> principals = {
      "{authenticated: {}}",
      "{authenticated: {principal_name: " + string + "}}",
      "{source_ip: {address_prefix: '::1', prefix_len: 128}}",
      "{direct_remote_ip: {address_prefix: 1.2.3.4, prefix_len: 32}}",
      "{remote_ip: {address_prefix: 1.2.3.4, prefix_len: 32}}",
      "{header: {name: a, present_match: true}}",
      "{url_path: {path: " + string + "}}",
      "{metadata: " + metadata + "}",
      "{sourced_metadata: {metadata_matcher: " + metadata + "}}",
      "{filter_state: {key: k, string_match: " + string + "}}",
      "{filter_state: {key: k, address_match: {ranges: [{address_prefix: 10.0.0.0, prefix_len: "
      "8}], "
      "invert_match: true}}}",
      "{not_id: {any: true}}",
      "{and_ids: {ids: [{any: true}]}}",
      "{or_ids: {ids: [{any: true}]}}",
  };
  for (const std::string& principal : principals) {
    EXPECT_EQ(refusal(policy("{any: true}", principal)), "(accepted)") << principal;
  }
}

TEST_F(RbacTest, RefusesWhatItCannotDecide) {
  const std::pair<std::string, std::string> cases[] = {
      {policy("{}", "{any: true}"), "rules.policies[\"p\"].permissions[0]: has no rule"},
      {policy("{any: true}", "{}"), "rules.policies[\"p\"].principals[0]: has no identifier"},
      {policy("{any: false}", "{any: true}"), "permissions[0].any: must be true"},
      {policy("", "{any: true}"), "permissions: must not be empty"},
      {policy("{any: true}", ""), "principals: must not be empty"},
      {policy("{and_rules: {}}", "{any: true}"), "and_rules.rules: must not be empty"},
      {policy("{not_rule: {}}", "{any: true}"), "not_rule: has no rule"},
      {policy("{destination_port: 65536}", "{any: true}"), "destination_port: is above"},
      {policy("{destination_port_range: {start: 5, end: 5}}", "{any: true}"), "ends before"},
      {policy("{destination_port_range: {start: -1, end: 5}}", "{any: true}"), "is not within"},
      {policy("{url_path: {}}", "{any: true}"), "url_path.path: is required"},
      {policy("{metadata: {filter: f, path: [{key: a}], value: {}}}", "{any: true}"),
       "metadata.value: has no pattern"},
      {policy("{metadata: {filter: f, value: {bool_match: true}}}", "{any: true}"),
       "metadata.path: must not be empty"},
      {policy("{any: true}", "{filter_state: {key: k}}"), "filter_state: has no matcher"},
      {policy("{sourced_metadata: {metadata_source: ROUTE}}", "{any: true}"), "only DYNAMIC"},
      {"rules: {policies: {p: {permissions: [{any: true}], principals: [{any: true}], "
       "condition: {}}}}",
       "condition: conditions in CEL are not supported"},
      {"rules: {policies: {p: {permissions: [{any: true}], principals: [{any: true}], "
       "checked_condition: {}}}}",
       "checked_condition: conditions in CEL are not supported"},
  };
  for (const auto& [yaml, reason] : cases) EXPECT_THAT(refusal(yaml), HasSubstr(reason)) << yaml;
}

TEST_F(RbacTest, AnUnknownKindIsRefusedWhateverIsSaidAboutUnknownFields) {
  set_policy(UnknownFieldPolicy::Kind::StaticAccept);
  Proto proto = from_yaml<Proto>(policy("{any: true}", "{any: true}"));
  auto& principal = *proto.mutable_rules()->mutable_policies()->at("p").mutable_principals(0);
  principal.ParseFromString("\x72\x00");  // custom = 14
  const auto engines = rbac_engines(proto, PolicyLayer::Http, context, Path());
  EXPECT_THAT(std::string(engines.status().message()), HasSubstr("unknown field"));
}

TEST_F(RbacTest, OverTcpNothingCanBeAskedOfHeaders) {
  const std::string header = "{header: {name: a, present_match: true}}";
  EXPECT_THAT(refusal(policy("{not_rule: " + header + "}", "{any: true}"), PolicyLayer::Network),
              HasSubstr("not_rule.header: there are no headers over TCP"));
  EXPECT_THAT(refusal(policy("{any: true}", header), PolicyLayer::Network),
              HasSubstr("there are no headers over TCP"));
}

TEST_F(RbacTest, NegationTurnsRoundWhatAConditionLeadsTo) {
  const auto proto = from_yaml<rbac::RBAC>(
      "policies: {p: {permissions: [{not_rule: {url_path: {path: {exact: a}}}}], "
      "principals: [{authenticated: {}}]}}");
  const auto toward = [&](rbac::RBAC::Action action) {
    rbac::RBAC changed = proto;
    changed.set_action(action);
    auto rules = rbac_rules(changed, PolicyLayer::Http, context, Path());
    const auto& negation = std::get<policy::Not>(rules->rules[0].permission.is);
    const auto& who = std::get<policy::Authenticated>(rules->rules[0].principal.is);
    EXPECT_EQ(std::get<policy::PathIs>(negation.of->is).toward, policy::opposite(who.toward));
    return who.toward;
  };
  EXPECT_EQ(toward(rbac::RBAC::ALLOW), policy::Toward::Grant);
  EXPECT_EQ(toward(rbac::RBAC::DENY), policy::Toward::Refuse);
}

// -------------------------------------------------------------------------------------------------
// trees

constexpr std::string_view kAction =
    "action: {name: a, typed_config: {'@type': type.googleapis.com/envoy.config.rbac.v3.Action, "
    "name: act}}";

std::string input(std::string_view type, std::string_view more = "") {
  return "input: {name: i, typed_config: {'@type': type.googleapis.com/" + std::string(type) +
         std::string(more) + "}}";
}
std::string header_input() {
  return input("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", ", header_name: X");
}
std::string list_of(const std::string& predicate) {
  return "matcher: {matcher_list: {matchers: [{predicate: " + predicate + ", on_match: {" +
         std::string(kAction) + "}}]}}";
}

TEST_F(RbacTest, AcceptsTreesOfEveryInput) {
  const std::string inputs = "envoy.extensions.matching.common_inputs.";
  for (const char* name : {"network.v3.DestinationIPInput", "network.v3.DestinationPortInput",
                           "network.v3.SourceIPInput", "network.v3.SourcePortInput",
                           "network.v3.DirectSourceIPInput", "network.v3.ServerNameInput",
                           "ssl.v3.UriSanInput", "ssl.v3.DnsSanInput", "ssl.v3.SubjectInput"}) {
    const std::string single =
        "{single_predicate: {" + input(inputs + name) + ", value_match: {exact: a}}}";
    EXPECT_EQ(refusal(list_of(single), PolicyLayer::Network), "(accepted)") << name;
  }
  const std::string single =
      "{single_predicate: {" + header_input() + ", value_match: {safe_regex: {regex: a+}}}}";
  EXPECT_EQ(refusal(list_of(single)), "(accepted)");
  EXPECT_EQ(refusal(list_of("{and_matcher: {predicate: [" + single + ", {not_matcher: " + single +
                            "}]}}")),
            "(accepted)");
  for (const char* map : {"exact_match_map", "prefix_match_map"}) {
    EXPECT_EQ(refusal("shadow_matcher: {matcher_tree: {" + header_input() + ", " + map +
                      ": {map: {a: {matcher: {on_no_match: {" + std::string(kAction) + "}}}}}}}"),
              "(accepted)");
  }
}

TEST_F(RbacTest, RefusesTreesThatItCannotFollow) {
  const std::string single =
      "{single_predicate: {" + header_input() + ", value_match: {exact: a}}}";
  const std::pair<std::string, std::string> cases[] = {
      {"matcher: {matcher_list: {}}", "matcher.matcher_list.matchers: must not be empty"},
      {"matcher: {matcher_tree: {" + header_input() + "}}", "has no kind of tree"},
      {"matcher: {matcher_tree: {" + header_input() + ", exact_match_map: {}}}",
       "exact_match_map.map: must not be empty"},
      {"matcher: {on_no_match: {}}", "on_no_match: has nothing to do"},
      {"matcher: {on_no_match: {keep_matching: true, " + std::string(kAction) + "}}",
       "keep_matching: is not supported"},
      {"matcher: {on_no_match: {action: {name: a, typed_config: {'@type': "
       "type.googleapis.com/envoy.config.rbac.v3.Action}}}}",
       "typed_config.name: is required"},
      {list_of("{}"), "predicate: has no predicate"},
      {list_of("{or_matcher: {predicate: [" + single + "]}}"), "must have two elements"},
      {list_of("{single_predicate: {" + header_input() + "}}"), "value_match: is required"},
      {list_of("{single_predicate: {" + input("google.protobuf.Duration") +
               ", value_match: {exact: a}}}"),
       "unknown type google.protobuf.Duration"},
  };
  for (const auto& [yaml, reason] : cases) EXPECT_THAT(refusal(yaml), HasSubstr(reason)) << yaml;
  EXPECT_THAT(refusal(list_of(single), PolicyLayer::Network), HasSubstr("no headers over TCP"));
}

// -------------------------------------------------------------------------------------------------
// path templates

bool fits(std::string_view pattern, std::string_view path) {
  auto form = uri_template(pattern);
  EXPECT_TRUE(form.ok()) << pattern << ": " << form.status();
  return form.ok() && re2::RE2::FullMatch({path.data(), path.size()}, **form);
}

TEST(UriTemplateTest, WildcardsTakeSegments) {
  EXPECT_TRUE(fits("/a/*", "/a/b"));
  EXPECT_FALSE(fits("/a/*", "/a/b/c"));
  EXPECT_FALSE(fits("/a/*", "/a/"));
  EXPECT_TRUE(fits("/a/**", "/a/b/c"));
  EXPECT_TRUE(fits("/a/**", "/a/"));
  EXPECT_FALSE(fits("/a/**", "/a"));
  EXPECT_TRUE(fits("/{x}/b", "/a/b"));
  EXPECT_TRUE(fits("/{x=a/*}/c", "/a/b/c"));
  EXPECT_TRUE(fits("/**.mpd", "/a/b.mpd"));
  EXPECT_FALSE(fits("/*.mpd", "/a/b.mpd"));
  EXPECT_TRUE(fits("/", "/"));
  EXPECT_TRUE(fits("/a/", "/a/"));
  EXPECT_FALSE(fits("/a.b", "/axb"));
}

TEST(UriTemplateTest, RefusesWhatIsNoTemplate) {
  for (const char* pattern : {"",
                              "a",
                              "/a//b",
                              "/{x}{y}",
                              "/{x=}",
                              "/{x=a/}",
                              "/{x",
                              "/**/*",
                              "/**/{x}",
                              "/{1x}",
                              "/{}",
                              "/{abcdefghijklmnopq}",
                              "/{a}/{b}/{c}/{d}/{e}/{f}",
                              "/{a}/{a}",
                              "/a?b",
                              "/a b",
                              "/a[b]",
                              "/a*",
                              "/*a/b",
                              "/***"}) {
    EXPECT_FALSE(uri_template(pattern).ok()) << pattern;
  }
}

}  // namespace
}  // namespace remora::xds::translate
