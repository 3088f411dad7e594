#include "tools/control_plane/catalogue.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace remora::control_plane {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view kMinimal =
    "name: web\n"
    "namespace: shop\n"
    "ports: [{port: 80, protocol: http}]\n";

std::string complaint(const std::string& more) {
  const auto service = parse_service(std::string(kMinimal) + more);
  return service.ok() ? "accepted" : std::string(service.status().message());
}

TEST(ParseService, ReadsEveryKey) {
  const auto service = parse_service(R"(
name: web
namespace: shop
vips: [10.96.0.1, "fd96::1"]
ports:
  - {port: 80, target_port: 8080, protocol: http}
  - {port: 5432, protocol: tcp}
workloads:
  - {node: sidecar~a, address: 10.0.0.1, host: h1, zone: z1, region: r1, weight: 3, ready: false}
  - {address: "fd00::2"}
policy:
  timeout: 250ms
  connect_timeout: 2s
  lb: round_robin
  circuit_breakers: {max_connections: 1, max_pending_requests: 2, max_requests: 3, max_retries: 0}
)");
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_EQ(service->fqdn(), "web.shop.svc.cluster.local");
  EXPECT_THAT(service->vips, ElementsAre("10.96.0.1", "fd96::1"));
  ASSERT_THAT(service->ports, SizeIs(2));
  EXPECT_EQ(service->ports[0].target_port, 8080u);
  EXPECT_EQ(service->ports[0].protocol, Protocol::kHttp);
  EXPECT_EQ(service->ports[1].target_port, 5432u) << "the port itself when none is given";
  EXPECT_EQ(service->ports[1].protocol, Protocol::kTcp);
  ASSERT_THAT(service->workloads, SizeIs(2));
  EXPECT_EQ(service->workloads[0].node, "sidecar~a");
  EXPECT_EQ(service->workloads[0].host, "h1");
  EXPECT_EQ(service->workloads[0].zone, "z1");
  EXPECT_EQ(service->workloads[0].region, "r1");
  EXPECT_EQ(service->workloads[0].weight, 3u);
  EXPECT_FALSE(service->workloads[0].ready);
  EXPECT_EQ(service->workloads[1].weight, 1u);
  EXPECT_TRUE(service->workloads[1].ready);
  EXPECT_EQ(service->policy.timeout, milliseconds(250));
  EXPECT_EQ(service->policy.connect_timeout, milliseconds(2000));
  EXPECT_EQ(service->policy.balancing, Balancing::kRoundRobin);
  EXPECT_EQ(service->policy.circuit_breakers.max_connections, 1u);
  EXPECT_EQ(service->policy.circuit_breakers.max_retries, 0u);
}

TEST(ParseService, NeedsNoPolicyAndNoWorkloads) {
  const auto service = parse_service(kMinimal);
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_FALSE(service->policy.timeout.has_value());
  EXPECT_EQ(service->policy.balancing, Balancing::kLeastRequest);
  EXPECT_FALSE(service->policy.circuit_breakers.max_requests.has_value());
}

TEST(ParseService, SaysWhichKeyIsWrong) {
  EXPECT_THAT(complaint("colour: red\n"), HasSubstr("unknown key \"colour\""));
  EXPECT_THAT(complaint("vips: [web.local]\n"), HasSubstr("vips[0]: \"web.local\""));
  EXPECT_THAT(complaint("workloads: [{address: 10.0.0}]\n"), HasSubstr("workloads[0].address"));
  EXPECT_THAT(complaint("workloads: [{host: a}]\n"), HasSubstr("workloads[0].address: missing"));
  EXPECT_THAT(complaint("workloads: [{address: 10.0.0.1, weight: 0}]\n"),
              HasSubstr("workloads[0].weight: at least 1"));
  EXPECT_THAT(complaint("workloads: [{address: 10.0.0.1, ready: soon}]\n"),
              HasSubstr("workloads[0].ready"));
  EXPECT_THAT(complaint("workloads: 3\n"), HasSubstr("workloads: a list is wanted"));
  EXPECT_THAT(complaint("policy: {timeout: 5}\n"), HasSubstr("policy.timeout"));
  EXPECT_THAT(complaint("policy: {timeout: 5 s}\n"), HasSubstr("policy.timeout"));
  EXPECT_THAT(complaint("policy: {lb: random}\n"), HasSubstr("policy.lb: \"random\""));
  EXPECT_THAT(complaint("policy: {circuit_breakers: {max_requests: -1}}\n"),
              HasSubstr("policy.circuit_breakers.max_requests"));
  EXPECT_THAT(complaint("policy: ["), HasSubstr("yaml-cpp"));
}

TEST(ParseService, ReadsWhoMayCall) {
  const auto service = parse_service(R"(
name: web
namespace: shop
ports: [{port: 80, protocol: http}]
workloads: [{address: 10.0.0.1, sidecar: false}]
account: web
mtls: PERMISSIVE
authorization:
  - {principals: [shop/till, front/door], methods: [GET], paths: [/cart, "/api/*"]}
  - {methods: [HEAD]}
)");
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_EQ(service->account, "web");
  EXPECT_EQ(service->mtls, MutualTls::kPermissive);
  EXPECT_FALSE(service->workloads[0].sidecar);
  ASSERT_TRUE(service->authorization.has_value());
  ASSERT_THAT(*service->authorization, SizeIs(2));
  const AccessRule& rule = service->authorization->front();
  EXPECT_THAT(rule.principals, ElementsAre("spiffe://cluster.local/ns/shop/sa/till",
                                           "spiffe://cluster.local/ns/front/sa/door"));
  EXPECT_THAT(rule.methods, ElementsAre("GET"));
  EXPECT_THAT(rule.paths, ElementsAre("/cart", "/api/*"));
  EXPECT_THAT(service->authorization->back().principals, IsEmpty());
}

TEST(ParseService, TellsNoRulesFromNoAuthorization) {
  const auto open = parse_service(kMinimal);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(open->mtls, MutualTls::kDisable);
  EXPECT_FALSE(open->authorization.has_value());
  const auto closed = parse_service(std::string(kMinimal) + "authorization: []\n");
  ASSERT_TRUE(closed.ok()) << closed.status();
  ASSERT_TRUE(closed->authorization.has_value());
  EXPECT_THAT(*closed->authorization, IsEmpty());
}

TEST(ParseService, PromisesNoSecurityThatItCouldNotKeep) {
  const std::string strict = "account: web\nmtls: STRICT\n";
  EXPECT_EQ(complaint(strict), "accepted");
  EXPECT_THAT(complaint("mtls: STRICT\n"), HasSubstr("account: missing"));
  EXPECT_THAT(complaint("mtls: strict\n"), HasSubstr("mtls: \"strict\""));
  EXPECT_THAT(complaint(strict + "workloads: [{address: 10.0.0.1, sidecar: false}]\n"),
              HasSubstr("workloads[0].sidecar"));
  EXPECT_THAT(complaint("authorization: [{principals: [shop/a]}]\n"),
              HasSubstr("authorization[0].principals: mtls is DISABLE"));
  const std::string rules = strict + "authorization: ";
  EXPECT_THAT(complaint(rules + "[{}]\n"), HasSubstr("authorization[0]: "));
  EXPECT_THAT(complaint(rules + "{}\n"), HasSubstr("authorization: a list is wanted"));
  EXPECT_THAT(complaint(rules + "[{principals: []}]\n"), HasSubstr("principals: a list"));
  EXPECT_THAT(complaint(rules + "[{roles: [a]}]\n"), HasSubstr("unknown key \"roles\""));
  for (const std::string principal : {"web", "/web", "shop/", "a/b/c"}) {
    EXPECT_THAT(complaint(rules + "[{principals: [" + principal + "]}]\n"),
                HasSubstr("is not NAMESPACE/ACCOUNT"));
  }
  EXPECT_THAT(complaint(rules + "[{paths: [cart]}]\n"), HasSubstr("paths[0]"));
  EXPECT_THAT(complaint(rules + "[{paths: [\"/*/cart\"]}]\n"), HasSubstr("paths[0]"));
}

TEST(ParseService, RefusesRulesOfHttpForTcp) {
  const auto service = parse_service(
      "name: db\nnamespace: shop\nports: [{port: 1, protocol: tcp}]\n"
      "authorization: [{methods: [GET]}]\n");
  EXPECT_THAT(service.status().message(), HasSubstr("authorization[0]: methods and paths"));
}

TEST(ParseService, RefusesAServiceWithoutNameOrPorts) {
  EXPECT_THAT(parse_service("namespace: a\nports: [{port: 1, protocol: tcp}]").status().message(),
              HasSubstr("name: missing"));
  EXPECT_THAT(parse_service("name: a\nnamespace: b").status().message(), HasSubstr("ports"));
  EXPECT_THAT(parse_service("").status().message(), HasSubstr("a map is wanted"));
  EXPECT_THAT(parse_service("name: a\nnamespace: b\nports: [{port: 65536, protocol: tcp}]")
                  .status()
                  .message(),
              HasSubstr("ports[0].port"));
  EXPECT_THAT(parse_service("name: a\nnamespace: b\nports: [{port: 80, protocol: grpc}]")
                  .status()
                  .message(),
              HasSubstr("neither http nor tcp"));
}

class CatalogueFolderTest : public testing::Test {
 protected:
  CatalogueFolderTest() {
    std::string pattern = testing::TempDir() + "/catalogueXXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~CatalogueFolderTest() override { std::filesystem::remove_all(path_); }

  void write(const std::string& file, std::string_view content) {
    std::ofstream(path_ / file) << content;
  }

  std::filesystem::path path_;
};

constexpr const char* kWeb = "web.shop.svc.cluster.local";

TEST_F(CatalogueFolderTest, HoldsOneServiceAFile) {
  write("web.yaml", kMinimal);
  write(".web.yaml", "half written");
  write("notes.txt", "not a service");
  const auto reading = CatalogueFolder(path_).read();
  EXPECT_THAT(reading.complaints, IsEmpty());
  ASSERT_THAT(reading.catalogue->services, SizeIs(1));
  EXPECT_EQ(reading.catalogue->services.begin()->first, kWeb);
}

TEST_F(CatalogueFolderTest, KeepsTheLastGoodServiceOfABadFile) {
  write("web.yaml", kMinimal);
  CatalogueFolder folder(path_);
  folder.read();
  write("web.yaml", "name: [");
  const auto reading = folder.read();
  ASSERT_THAT(reading.complaints, ElementsAre(HasSubstr("web.yaml: ")));
  EXPECT_TRUE(reading.catalogue->services.contains(kWeb));
}

TEST_F(CatalogueFolderTest, ForgetsAServiceWhoseFileIsGone) {
  write("web.yaml", kMinimal);
  CatalogueFolder folder(path_);
  folder.read();
  std::filesystem::remove(path_ / "web.yaml");
  EXPECT_THAT(folder.read().catalogue->services, IsEmpty());
}

TEST_F(CatalogueFolderTest, ComplainsOfAServiceInTwoFiles) {
  write("a.yaml", kMinimal);
  write("b.yaml", kMinimal);
  const auto reading = CatalogueFolder(path_).read();
  EXPECT_THAT(reading.complaints, ElementsAre(HasSubstr("b.yaml: web.shop")));
  EXPECT_THAT(reading.catalogue->services, SizeIs(1));
}

}  // namespace
}  // namespace remora::control_plane
