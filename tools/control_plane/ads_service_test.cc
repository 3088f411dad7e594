#include "tools/control_plane/ads_service.h"

#include <grpcpp/grpcpp.h>

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace remora::control_plane {
namespace {

using envoy::service::discovery::v3::AggregatedDiscoveryService;
using envoy::service::discovery::v3::DeltaDiscoveryRequest;
using envoy::service::discovery::v3::DeltaDiscoveryResponse;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kNode = "sidecar~10.1.0.1~web-1.shop~shop.svc.cluster.local";
constexpr const char* kWebCluster = "outbound|80||web.shop.svc.cluster.local";

std::shared_ptr<const Catalogue> catalogue_with(const std::string& workloads) {
  auto service = parse_service(
      "name: web\nnamespace: shop\nvips: [10.96.0.1]\n"
      "ports: [{port: 80, target_port: 8080, protocol: http}]\nworkloads: [" +
      workloads + "]\n");
  EXPECT_TRUE(service.ok()) << service.status();
  Catalogue catalogue;
  catalogue.services.emplace(service->fqdn(), *service);
  return std::make_shared<const Catalogue>(catalogue);
}

// A server on a port of its own, and a client as foreign as gRPC's own is.
class AdsServiceTest : public testing::Test {
 protected:
  AdsServiceTest() : service_(catalogue_with("{address: 10.1.0.1}"), ViewOptions{}) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = AggregatedDiscoveryService::NewStub(grpc::CreateChannel(
        "127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials()));
  }

  ~AdsServiceTest() override { server_->Shutdown(std::chrono::system_clock::now()); }

  AdsService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<AggregatedDiscoveryService::Stub> stub_;
  grpc::ClientContext context_;
};

DeltaDiscoveryRequest delta(std::string_view type, std::vector<std::string> subscribe = {}) {
  DeltaDiscoveryRequest request;
  request.set_type_url(std::string(type));
  for (const auto& name : subscribe) request.add_resource_names_subscribe(name);
  return request;
}

TEST_F(AdsServiceTest, ServesANodeItsOwnViewOverSotw) {
  auto stream = stub_->StreamAggregatedResources(&context_);
  DiscoveryRequest request;
  request.mutable_node()->set_id(kNode);
  request.set_type_url(std::string(kEndpointsType));
  request.add_resource_names(kWebCluster);
  ASSERT_TRUE(stream->Write(request));
  DiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.resources_size(), 1);

  service_.publish(catalogue_with("{address: 10.1.0.1}, {address: 10.1.0.2}"));
  DiscoveryResponse pushed;
  ASSERT_TRUE(stream->Read(&pushed));
  EXPECT_EQ(pushed.type_url(), kEndpointsType);
  EXPECT_NE(pushed.nonce(), response.nonce());

  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(AdsServiceTest, PushesOnlyChangedResourcesOverDelta) {
  auto stream = stub_->DeltaAggregatedResources(&context_);
  DeltaDiscoveryRequest first = delta(kClusterType);
  first.mutable_node()->set_id(kNode);
  ASSERT_TRUE(stream->Write(first));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  std::vector<std::string> clusters;
  for (const auto& resource : response.resources()) clusters.push_back(resource.name());
  EXPECT_THAT(clusters, testing::IsSupersetOf({"inbound|8080||", kWebCluster}));

  // The node comes with the first message only.
  ASSERT_TRUE(stream->Write(delta(kEndpointsType, {kWebCluster})));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.type_url(), kEndpointsType);

  service_.publish(catalogue_with("{address: 10.1.0.1}, {address: 10.1.0.2}"));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.type_url(), kEndpointsType) << "clusters did not change";
  ASSERT_EQ(response.resources_size(), 1);
  EXPECT_EQ(response.resources(0).name(), kWebCluster);
}

TEST_F(AdsServiceTest, KeepsAStreamWhoseClientRefuses) {
  auto stream = stub_->DeltaAggregatedResources(&context_);
  DeltaDiscoveryRequest request = delta(kClusterType);
  request.mutable_node()->set_id(kNode);
  ASSERT_TRUE(stream->Write(request));
  DeltaDiscoveryResponse response;
  ASSERT_TRUE(stream->Read(&response));
  DeltaDiscoveryRequest refusal = delta(kClusterType);
  refusal.set_response_nonce(response.nonce());
  refusal.mutable_error_detail()->set_code(3);
  refusal.mutable_error_detail()->set_message("cluster.x: field y: not known");
  ASSERT_TRUE(stream->Write(refusal));

  service_.publish(catalogue_with(""));
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.type_url(), kClusterType);
  EXPECT_THAT(std::vector<std::string>(response.removed_resources().begin(),
                                       response.removed_resources().end()),
              ElementsAre("inbound|8080||"));
  EXPECT_THAT(response.resources(), IsEmpty());
}

TEST_F(AdsServiceTest, ServesManyStreamsWhileTheCatalogueChanges) {
  constexpr int kStreams = 8;
  constexpr int kChanges = 20;
  std::vector<std::thread> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.emplace_back([this] {
      grpc::ClientContext context;
      auto stream = stub_->DeltaAggregatedResources(&context);
      DeltaDiscoveryRequest request = delta(kEndpointsType, {kWebCluster});
      request.mutable_node()->set_id(kNode);
      ASSERT_TRUE(stream->Write(request));
      // Changes may be merged, but the last one always arrives.
      DeltaDiscoveryResponse response;
      const std::string last = "10.2.0." + std::to_string(kChanges);
      do {
        ASSERT_TRUE(stream->Read(&response));
      } while (response.resources(0).resource().value().find(last) == std::string::npos);
      stream->WritesDone();
      EXPECT_TRUE(stream->Finish().ok());
    });
  }
  for (int change = 1; change <= kChanges; ++change) {
    service_.publish(catalogue_with("{address: 10.2.0." + std::to_string(change) + "}"));
  }
  for (auto& client : clients) client.join();
}

}  // namespace
}  // namespace remora::control_plane
