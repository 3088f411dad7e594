#include "xds/translate/yaml_json.h"

#include <absl/strings/str_cat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/bootstrap.pb.h"
#include "api/http_connection_manager.pb.h"
#include "api/tcp_proxy.pb.h"
#include "api/typed_struct_xds.pb.h"

namespace remora::xds::translate {
namespace {

using envoy::config::bootstrap::v3::Bootstrap;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class YamlJsonTest : public testing::Test {
 protected:
  absl::Status read(std::string_view text, Syntax syntax = Syntax::Yaml) {
    return text_to_message(text, syntax, &bootstrap, [this](const Unknown& found) {
      unknown.push_back(found.path + ": " + found.what + (found.decisive ? " (decisive)" : ""));
    });
  }
  const TcpProxy& tcp_proxy = TcpProxy::default_instance();  // keeps the type in the binary
  Bootstrap bootstrap;
  std::vector<std::string> unknown;
};

TEST_F(YamlJsonTest, ReadsBothSpellingsOfFieldNames) {
  ASSERT_TRUE(read("admin: {address: {socketAddress: {address: 127.0.0.1, port_value: 15000}}}\n"
                   "staticResources: {clusters: [{name: a, connectTimeout: 0.250s}]}")
                  .ok());
  EXPECT_EQ(bootstrap.admin().address().socket_address().port_value(), 15000u);
  EXPECT_EQ(bootstrap.static_resources().clusters(0).connect_timeout().nanos(), 250'000'000);
  EXPECT_THAT(unknown, IsEmpty());
}

TEST_F(YamlJsonTest, ReadsJson) {
  ASSERT_TRUE(read(R"({"node": {"id": "a\tb", "metadata": {"n": 1.5}}})", Syntax::Json).ok());
  EXPECT_EQ(bootstrap.node().id(), "a\tb");
  EXPECT_EQ(bootstrap.node().metadata().fields().at("n").number_value(), 1.5);
}

TEST_F(YamlJsonTest, TextIsUtf8) {
  EXPECT_TRUE(read("node: {id: '\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9f'}").ok());
  for (const char* bad :
       {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_EQ(read("node: {id: '" + std::string(bad) + "'}").message(), "is not UTF-8");
  }
}

TEST_F(YamlJsonTest, EmptyTextIsAnEmptyMessage) {
  EXPECT_TRUE(read("").ok());
  EXPECT_TRUE(read("# nothing\n").ok());
}

TEST_F(YamlJsonTest, QuotedScalarsAreTextAndPlainOnesWhatTheyLookLike) {
  auto tree = parse_tree("{a: '1', b: 0x10, c: yes, d: 5000000000, e: 1.5, f: ~}", Syntax::Yaml);
  ASSERT_TRUE(tree.ok());
  std::string found;
  for (const TreeNode& node : tree->root().children()) {
    constexpr std::string_view kKinds[] = {"null", "bool", "number", "text", "list", "object"};
    found +=
        absl::StrCat(std::string(node.name), ":", std::string(kKinds[static_cast<int>(node.kind)]),
                     ":", std::string(node.text), node.truth ? "true" : "", " ");
  }
  EXPECT_EQ(found, "a:text:1 b:number:16 c:bool:true d:text:5000000000 e:text:1.5 f:null: ");
}

TEST_F(YamlJsonTest, UnknownFieldsAndEnumValuesAreReportedWithTheirPath) {
  ASSERT_TRUE(read("nonesuch: 1\n"
                   "static_resources:\n"
                   "  clusters: [{name: a, lb_policy: WRONG, lb: {x: 1}}]\n"
                   "  listeners:\n"
                   "  - filter_chains: [{filter_chain_match: {nonesuch: 1}}]")
                  .ok());
  EXPECT_THAT(
      unknown,
      ElementsAre("nonesuch: unknown field", "static_resources.clusters[0].lb: unknown field",
                  "static_resources.clusters[0].lb_policy: unknown enum value WRONG",
                  "static_resources.listeners[0].filter_chains[0].filter_chain_match."
                  "nonesuch: unknown field (decisive)"));
  EXPECT_EQ(bootstrap.static_resources().clusters(0).name(), "a");
}

TEST_F(YamlJsonTest, LooksInsideAny) {
  ASSERT_TRUE(read("bootstrap_extensions:\n"
                   "- name: x\n"
                   "  typed_config:\n"
                   "    '@type': type.googleapis.com/"
                   "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n"
                   "    stat_prefix: s\n"
                   "    nonesuch: 1")
                  .ok());
  EXPECT_THAT(unknown, ElementsAre("bootstrap_extensions[0].typed_config.nonesuch: unknown field"));
  TcpProxy proxy;
  ASSERT_TRUE(bootstrap.bootstrap_extensions(0).typed_config().UnpackTo(&proxy));
  EXPECT_EQ(proxy.stat_prefix(), "s");
}

TEST_F(YamlJsonTest, AnyOfAnUnknownTypeIsKeptAsATypedStruct) {
  ASSERT_TRUE(read("bootstrap_extensions:\n"
                   "- typed_config: {'@type': type.googleapis.com/a.b.C, d: [1]}")
                  .ok());
  ::xds::type::v3::TypedStruct kept;
  ASSERT_TRUE(bootstrap.bootstrap_extensions(0).typed_config().UnpackTo(&kept));
  EXPECT_EQ(kept.type_url(), "type.googleapis.com/a.b.C");
  EXPECT_EQ(kept.value().fields().at("d").list_value().values_size(), 1);
}

TEST_F(YamlJsonTest, MisfitsSayWhere) {
  const struct {
    std::string_view text, said;
  } cases[] = {
      {"static_resources: {clusters: [{name: c, connect_timeout: abc}]}",
       "static_resources.clusters[0].connect_timeout: "},
      {"static_resources: {clusters: {name: c}}", "static_resources.clusters: is not a list"},
      {"static_resources: {clusters: [c]}", "static_resources.clusters[0]: is not an object"},
      {"admin: {address: {socket_address: {port_value: -1}}}",
       "admin.address.socket_address.port_value: "},
      {"node: {id: [a]}", "node.id: "},
      {"admin: {profilePath: a, profile_path: b}", "admin.profile_path: is set twice"},
      {"bootstrap_extensions: [{typed_config: {a: 1}}]",
       "bootstrap_extensions[0].typed_config: has no @type"},
      {"node: {id: a, id: b}", "line 1: duplicate key 'id'"},
      {"a: b: c", "line 1: "},
      {"{a: 1}\n---\n{b: 1}", "more than one YAML document"},
      {"[1]", "is not an object"},
  };
  for (const auto& c : cases) {
    const absl::Status status = read(c.text);
    EXPECT_FALSE(status.ok()) << c.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(c.said))) << c.text;
  }
}

TEST_F(YamlJsonTest, DeepNestingAndAliasBombsAreRefused) {
  EXPECT_FALSE(
      read("node: {metadata: {a: " + std::string(200, '[') + std::string(200, ']') + "}}").ok());
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int j = 0; j < 9; ++j) bomb += "," + last;
    bomb += "]\n";
  }
  EXPECT_THAT(std::string(read(bomb).message()), HasSubstr("too many nodes"));
}

TEST(SyntaxTest, GoesByTheSuffix) {
  EXPECT_EQ(syntax_of("a/envoy-rev.json"), Syntax::Json);
  EXPECT_EQ(syntax_of("a.yaml"), Syntax::Yaml);
  EXPECT_EQ(syntax_of("a"), Syntax::Yaml);
}

}  // namespace
}  // namespace remora::xds::translate
