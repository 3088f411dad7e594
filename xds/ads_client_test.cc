// The client against a control plane on gRPC's own library, over a Unix socket and a real cluster.
#include "xds/ads_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <optional>

#include "api/cluster.pb.h"
#include "proxy/upstream/test_cluster.h"
#include "xds/test_consumer.h"
#include "xds/test_control_plane.h"

namespace remora::xds {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

struct AdsClientTest : upstream::testing::ClusterTestBase {
  AdsClientTest() {
    char directory[] = "/tmp/adsXXXXXX";
    directory_ = mkdtemp(directory);
    path_ = directory_ + "/xds.sock";
    worker.set_clusters(*map);
    apply({upstream::testing::endpoint_at(*Address::from_unix_path(path_))});
    source.kind = ConfigSource::Kind::DeltaGrpc;
    source.cluster = "test";
    source.set_node_on_first_message_only = true;
  }
  ~AdsClientTest() override {
    subscriptions.clear();
    client.reset();
    server.reset();
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }

  void serve() {
    server.emplace("unix:" + path_);
    ASSERT_TRUE(server->started());
  }
  void start(StreamConfig stream) {
    stream.backoff = {.base_ms = 2, .max_ms = 20};
    envoy::config::core::v3::Node node;
    node.set_id("sidecar~1");
    stats = store->group<stats::ControlPlaneSchema>("control_plane");
    client.emplace(worker, stream, node, stats);
    client->start();
  }
  void start() { start(ads_stream(source)); }
  void subscribe(std::string_view type, TestConsumer& consumer,
                 std::vector<std::string> names = {}) {
    SubscribeOptions options;
    options.type_url = type;
    options.wildcard = names.empty();
    options.names = std::move(names);
    options.observer = &consumer.observer;
    subscriptions.push_back(client->subscribe(options, consumer));
  }
  TestControlPlane::DeltaRequest delta_request() {
    std::optional<TestControlPlane::DeltaRequest> request;
    run_until([&] { return (request = server->take_delta_request()).has_value(); });
    return request.value_or(TestControlPlane::DeltaRequest());
  }
  TestControlPlane::Request request() {
    std::optional<TestControlPlane::Request> request;
    run_until([&] { return (request = server->take_request()).has_value(); });
    return request.value_or(TestControlPlane::Request());
  }
  static google::protobuf::Any cluster_named(const std::string& name, size_t padding = 0) {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name(name);
    cluster.set_alt_stat_name(std::string(padding, 'p'));
    google::protobuf::Any any;
    any.PackFrom(cluster);
    return any;
  }
  static TestControlPlane::DeltaResponse clusters(std::string nonce, std::vector<std::string> names,
                                                  size_t padding = 0) {
    TestControlPlane::DeltaResponse response;
    response.set_type_url(std::string(kClusterType));
    response.set_nonce(nonce);
    response.set_system_version_info("v" + nonce);
    response.mutable_control_plane()->set_identifier("the control plane");
    for (const std::string& name : names) {
      auto* resource = response.add_resources();
      resource->set_name(name);
      *resource->mutable_resource() = cluster_named(name, padding);
    }
    return response;
  }
  std::string text(std::string_view name) {
    std::string found;
    store->scrape([&](const stats::Metric& metric) {
      if (metric.name == name)
        found = metric.kind == stats::Kind::Text ? std::string(metric.text)
                                                 : std::to_string(metric.value);
    });
    return found;
  }

  std::string directory_, path_;
  ConfigSource source;
  std::optional<TestControlPlane> server;
  std::shared_ptr<ControlPlaneStats> stats;
  std::optional<AdsClient> client;
  std::vector<std::unique_ptr<Subscription>> subscriptions;
  TestConsumer consumer;
};

TEST_F(AdsClientTest, DeltaSubscribesHearsAcknowledgesAndRefuses) {
  serve();
  source.initial_metadata = {{"X-Tenant", "blue"}, {":authority", "xds.example"}};
  start();
  subscribe(kClusterType, consumer);
  const auto first = delta_request();
  EXPECT_EQ(first.node().id(), "sidecar~1");
  EXPECT_EQ(server->metadata("x-tenant"), "blue");
  EXPECT_EQ(server->metadata(":authority"), "xds.example");
  server->send(clusters("1", {"a", "b"}));
  const auto ack = delta_request();
  EXPECT_EQ(ack.response_nonce(), "1");
  EXPECT_FALSE(ack.has_error_detail());
  EXPECT_EQ(consumer.take(), "+a +b ");
  EXPECT_EQ(text("control_plane.connected_state"), "1");
  EXPECT_EQ(text("control_plane.identifier"), "the control plane");

  consumer.bad["c"] = "type: 17 is unknown";
  server->send(clusters("2", {"c", "d"}));
  const auto nack = delta_request();
  EXPECT_EQ(nack.response_nonce(), "2");
  EXPECT_EQ(nack.error_detail().message(), "c: type: 17 is unknown");
  EXPECT_TRUE(consumer.resources.contains("d"));
}

TEST_F(AdsClientTest, StateOfTheWorldSubscribesHearsAcknowledgesAndRefuses) {
  serve();
  source.kind = ConfigSource::Kind::Grpc;
  start();
  subscribe(kClusterType, consumer);
  EXPECT_EQ(request().node().id(), "sidecar~1");
  TestControlPlane::Response response;
  response.set_type_url(std::string(kClusterType));
  response.set_version_info("1");
  response.set_nonce("n1");
  *response.add_resources() = cluster_named("a");
  server->send(response);
  const auto ack = request();
  EXPECT_EQ(ack.version_info(), "1");
  EXPECT_EQ(ack.response_nonce(), "n1");
  consumer.bad["b"] = "no";
  response.set_version_info("2");
  response.set_nonce("n2");
  *response.add_resources() = cluster_named("b");
  server->send(response);
  const auto nack = request();
  EXPECT_EQ(nack.version_info(), "1");
  EXPECT_EQ(nack.error_detail().message(), "b: no");
}

TEST_F(AdsClientTest, SurvivesARestartOfTheControlPlaneAndTellsWhatItHolds) {
  serve();
  start();
  subscribe(kClusterType, consumer);
  delta_request();
  server->send(clusters("1", {"a", "b"}));
  delta_request();
  server.reset();
  run_until([&] { return !client->connected(); });
  EXPECT_EQ(text("control_plane.connected_state"), "0");
  run_until([&] { return consumer.failures >= 3; });  // tries to connect, in vain
  EXPECT_EQ(consumer.resources.size(), 2u) << "the last good configuration stays";
  serve();
  const auto first = delta_request();
  EXPECT_EQ(first.node().id(), "sidecar~1");
  EXPECT_THAT(first.initial_resource_versions(),
              UnorderedElementsAre(Pair("a", ""), Pair("b", "")));
  consumer.take();
  server->send(clusters("1", {"a", "b", "c"}));
  EXPECT_EQ(delta_request().response_nonce(), "1");
  EXPECT_EQ(consumer.take(), "+c ");
}

TEST_F(AdsClientTest, WaitsForAControlPlaneThatIsNotThereYet) {
  start();
  subscribe(kClusterType, consumer);
  run_until([&] { return consumer.failures >= 2; });
  serve();
  EXPECT_EQ(delta_request().type_url(), kClusterType);
}

TEST_F(AdsClientTest, TriesAgainWhenItIsTurnedAway) {
  serve();
  server->refuse(grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "who are you?"));
  start();
  subscribe(kClusterType, consumer);
  run_until([&] { return server->streams() >= 3; });
  server->refuse(std::nullopt);
  EXPECT_EQ(delta_request().type_url(), kClusterType);
}

TEST_F(AdsClientTest, TriesAgainWhenItsClusterOrHostsAreMissing) {
  update_hosts({});
  start();
  subscribe(kClusterType, consumer);
  run_until([&] { return consumer.failures >= 1; });
  map->remove("test");
  const int before = consumer.failures;
  run_until([&] { return consumer.failures > before; });
  apply({upstream::testing::endpoint_at(*Address::from_unix_path(path_))});
  serve();
  EXPECT_EQ(delta_request().type_url(), kClusterType);
}

TEST_F(AdsClientTest, TakesAResponseLargerThanTheFlowControlWindows) {
  serve();
  start();
  subscribe(kClusterType, consumer);
  delta_request();
  std::vector<std::string> names;
  for (int i = 0; i < 32; ++i) names.push_back("cluster" + std::to_string(i));
  server->send(clusters("1", names, 1024 * 1024));
  EXPECT_EQ(delta_request().response_nonce(), "1");
  EXPECT_EQ(consumer.resources.size(), 32u);
}

TEST_F(AdsClientTest, AResponseOverTheLimitBreaksTheStreamAndNothingElse) {
  serve();
  StreamConfig stream = ads_stream(source);
  stream.target.max_message_bytes = 100'000;
  start(stream);
  subscribe(kClusterType, consumer);
  delta_request();
  server->send(clusters("1", {"big"}, 200'000));
  run_until([&] { return consumer.failures >= 1; });
  delta_request();
  server->send(clusters("2", {"small"}));
  EXPECT_EQ(delta_request().response_nonce(), "2");
  EXPECT_EQ(consumer.take(), "+small ");
}

TEST_F(AdsClientTest, ThousandsOfSubscriptionsOfATurnMakeOneRequest) {
  serve();
  start();
  run_until([&] { return client->connected(); });
  std::deque<TestConsumer> consumers(3000);
  for (size_t i = 0; i < consumers.size(); ++i)
    subscribe(kEndpointType, consumers[i], {"e" + std::to_string(i)});
  EXPECT_EQ(delta_request().resource_names_subscribe_size(), 3000);
  subscriptions.clear();
  EXPECT_EQ(delta_request().resource_names_unsubscribe_size(), 3000);
}

TEST_F(AdsClientTest, AConsumerMayStopTheClient) {
  serve();
  start();
  subscribe(kClusterType, consumer);
  delta_request();
  consumer.on_update = [&](const Update&) { client->stop(); };
  server->send(clusters("1", {"a"}));
  run_until([&] { return consumer.updates == 1; });
  settle();
  EXPECT_FALSE(client->connected());
}

TEST_F(AdsClientTest, TheAuthorityIsTheNameOfTheClusterUnlessOneIsGiven) {
  serve();
  start();
  run_until([&] { return server->streams() == 1; });
  run_until([&] { return server->metadata(":authority") == "test"; });
}

TEST(StreamConfigTest, NamesTheMethodOfEachService) {
  ConfigSource source;
  source.kind = ConfigSource::Kind::DeltaGrpc;
  EXPECT_EQ(ads_stream(source).target.path,
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources");
  EXPECT_EQ(own_stream(source, kSecretType).target.path,
            "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets");
  source.kind = ConfigSource::Kind::Grpc;
  EXPECT_EQ(own_stream(source, kEndpointType).target.path,
            "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints");
  EXPECT_EQ(own_stream(source, "type.googleapis.com/unheard.of").target.path, "");
}

TEST(GrpcMessage, IsPercentDecoded) {
  EXPECT_EQ(decode_grpc_message("no%20such%3A%zz%4"), "no such:%zz%4");
  EXPECT_EQ(grpc_code_of_http_status(503), 14);
  EXPECT_EQ(grpc_code_of_http_status(404), 12);
  EXPECT_EQ(grpc_code_of_http_status(200), 2);
}

}  // namespace
}  // namespace remora::xds
