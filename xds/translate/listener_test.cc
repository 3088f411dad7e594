#include "xds/translate/listener.h"

#include <gmock/gmock.h>

#include "xds/translate/test_support.h"

namespace remora::xds::translate {
namespace {

using envoy::config::listener::v3::Listener;
using testing::ElementsAre;
using testing::HasSubstr;

class ListenerTest : public TranslateTest {
 protected:
  std::shared_ptr<const ListenerConfig> compile(std::string_view yaml) {
    auto config = listener(from_yaml<Listener>(yaml), context);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *config : nullptr;
  }
  std::string refusal(std::string_view yaml) {
    auto config = listener(from_yaml<Listener>(yaml), context);
    EXPECT_FALSE(config.ok()) << "accepted: " << yaml;
    return std::string(config.status().message());
  }
};

// Stands for "#FILTERS" and "#ADDRESS" in the tests' listeners.
std::string filled(std::string_view yaml) {
  std::string out(yaml);
  const std::pair<std::string_view, std::string_view> stands[] = {
      {"#FILTERS",
       "filters: [{name: t, typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy}}]"},
      {"#ADDRESS", "address: {socket_address: {address: 127.0.0.1, port_value: 8080}}"},
      {"#RAW",
       "typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}"},
      {"#ORIGINAL",
       "name: o, typed_config: {'@type': "
       "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}"},
  };
  for (const auto& [from, to] : stands) {
    for (size_t at; (at = out.find(from)) != std::string::npos;) out.replace(at, from.size(), to);
  }
  return out;
}

TEST_F(ListenerTest, KeepsWhatItSays) {
  auto config = compile(filled(R"yaml(
name: virtualOutbound
address: {socket_address: {address: "::", port_value: 15001, ipv4_compat: true}}
additional_addresses: [{address: {socket_address: {address: 127.0.0.1, port_value: 1}}}]
stat_prefix: s
use_original_dst: true
traffic_direction: OUTBOUND
max_connections_to_accept_per_socket_event: 1
continue_on_listener_filters_timeout: true
listener_filters_timeout: 0s
per_connection_buffer_limit_bytes: 32768
drain_type: MODIFY_ONLY
enable_reuse_port: false
transparent: true
ignore_global_conn_limit: true
tcp_backlog_size: 7
socket_options: [{level: 6, name: 9, int_value: 1, state: STATE_LISTENING}]
listener_filters: [{#ORIGINAL}]
filter_chains:
- name: c
  filter_chain_match: {destination_port: 80, server_names: ["*.A.example"], transport_protocol: tls,
    application_protocols: [h2], prefix_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}],
    source_type: EXTERNAL, source_ports: [1]}
  transport_socket_connect_timeout: 15s
  #FILTERS
default_filter_chain: {#FILTERS}
)yaml"));
  ASSERT_NE(config, nullptr);
  EXPECT_EQ(config->name, "virtualOutbound");
  EXPECT_EQ(config->addresses.size(), 2u);
  EXPECT_TRUE(config->ipv4_compat && config->use_original_dst && config->transparent);
  EXPECT_TRUE(config->drain_modify_only && config->continue_on_listener_filters_timeout);
  EXPECT_TRUE(config->ignore_global_connection_limit);
  EXPECT_FALSE(config->reuse_port);
  EXPECT_EQ(config->direction, TrafficDirection::Outbound);
  EXPECT_EQ(config->max_accepts_per_event, 1u);
  EXPECT_EQ(config->listener_filters_timeout_ms, 0u);
  EXPECT_EQ(config->backlog, 7u);
  EXPECT_EQ(config->socket_options.at(0).state, SocketOption::State::Listening);
  EXPECT_EQ(config->listener_filters.size(), 1u);
  ASSERT_EQ(config->chains.size(), 1u);
  const FilterChainConfig& chain = config->chains[0];
  EXPECT_EQ(chain.match.destination_port, 80u);
  EXPECT_THAT(chain.match.server_names, ElementsAre("*.a.example"));
  EXPECT_EQ(chain.match.source_type, FilterChainMatchSpec::SourceType::External);
  EXPECT_EQ(chain.transport_connect_timeout_ms, 15'000u);
  EXPECT_EQ(chain.filters.size(), 1u);
  EXPECT_TRUE(config->default_chain.has_value());
  EXPECT_NE(config->stats, nullptr);
}

TEST_F(ListenerTest, BindsUnlessToldOtherwiseInEitherWay) {
  const std::string rest = ", #ADDRESS, filter_chains: [{#FILTERS}]}";
  EXPECT_TRUE(compile(filled("{name: a" + rest))->bind_to_port);
  EXPECT_FALSE(compile(filled("{name: a, bind_to_port: false" + rest))->bind_to_port);
  EXPECT_FALSE(
      compile(filled("{name: a, deprecated_v1: {bind_to_port: false}" + rest))->bind_to_port);
}

TEST_F(ListenerTest, ANamelessListenerIsCalledAfterItsAddress) {
  EXPECT_EQ(compile(filled("{#ADDRESS, filter_chains: [{#FILTERS}]}"))->name, "127.0.0.1:8080");
}

TEST_F(ListenerTest, HashesTellWhatChanged) {
  auto before = compile(filled("{name: a, #ADDRESS, filter_chains: [{#FILTERS}]}"));
  auto same = compile(filled("{name: a, #ADDRESS, filter_chains: [{#FILTERS}]}"));
  auto chains = compile(filled("{name: a, #ADDRESS, filter_chains: [{name: b, #FILTERS}]}"));
  auto sockets =
      compile(filled("{name: a, #ADDRESS, freebind: true, filter_chains: [{#FILTERS}]}"));
  EXPECT_EQ(before->content_hash, same->content_hash);
  EXPECT_NE(before->content_hash, chains->content_hash);
  EXPECT_EQ(before->socket_hash, chains->socket_hash);
  EXPECT_EQ(before->chains[0].content_hash, sockets->chains[0].content_hash);
  EXPECT_NE(before->socket_hash, sockets->socket_hash);
}

TEST_F(ListenerTest, ListenerFiltersAreLeftOutByCondition) {
  auto config = compile(filled(R"yaml(
{name: a, #ADDRESS, filter_chains: [{#FILTERS}],
 listener_filters: [{#ORIGINAL, filter_disabled: {or_match: {rules: [
   {destination_port_range: {start: 80, end: 81}},
   {not_match: {destination_port_range: {start: 1, end: 9000}}}]}}}]}
)yaml"));
  ASSERT_NE(config, nullptr);
  const ListenerFilterFactory& filter = *config->listener_filters.at(0);
  ConnectionFacts facts;
  facts.local = *Address::from_ip("10.0.0.1", 80);
  EXPECT_TRUE(filter.disabled_for(facts));
  facts.local = *Address::from_ip("10.0.0.1", 81);
  EXPECT_FALSE(filter.disabled_for(facts));
  facts.local = *Address::from_ip("10.0.0.1", 9000);
  EXPECT_TRUE(filter.disabled_for(facts));
}

TEST_F(ListenerTest, FiltersMayComeAsTypedStructs) {
  EXPECT_NE(compile(filled("{name: a, #ADDRESS, filter_chains: [{filters: [{name: t, typed_config: "
                           "{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: "
                           "type.googleapis.com/"
                           "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, value: "
                           "{stat_prefix: s}}}]}]}")),
            nullptr);
}

TEST_F(ListenerTest, PathsLeadThroughFilters) {
  EXPECT_EQ(refusal(filled(R"yaml(
name: a
#ADDRESS
filter_chains:
- filters:
  - name: h
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: s
      route_config: {virtual_hosts: []}
      http_filters:
      - {name: x, typed_config: {'@type': type.googleapis.com/a.b.C}}
      - {name: r, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
)yaml")),
            "filter_chains[0].filters[0].typed_config.http_filters[0].typed_config: unknown type "
            "a.b.C");
}

TEST_F(ListenerTest, WhatCannotBeHonouredIsRefusedWithItsPlace) {
  const Refusal refused[] = {
      {"{name: a, filter_chains: [{#FILTERS}]}", "address: is required"},
      {"{name: a, #ADDRESS}", "filter_chains: no filter chains specified"},
      {"{name: a, #ADDRESS, filter_chains: [{}]}", "filter_chains[0].filters: must not be empty"},
      {"{name: a, #ADDRESS, filter_chains: [{filters: [{name: x, #RAW}]}]}",
       "filter_chains[0].filters[0]: the last filter must be a terminal one"},
      {"{name: a, #ADDRESS, filter_chains: [{filters: [{name: x, typed_config: {'@type': "
       "type.googleapis.com/a.b.C}}]}]}",
       "filter_chains[0].filters[0].typed_config: unknown type a.b.C"},
      {"{name: a, #ADDRESS, filter_chains: [{filters: [{name: x}]}]}",
       "filters[0].typed_config: is required"},
      {"{name: a, #ADDRESS, filter_chains: [{#FILTERS}, {#FILTERS}]}",
       "filter_chains[1].filter_chain_match: "},
      {"{name: a, #ADDRESS, filter_chains: [{filter_chain_match: {destination_port: 70000}, "
       "#FILTERS}]}",
       "filter_chain_match.destination_port: must be from 1 to 65535"},
      {"{name: a, #ADDRESS, filter_chains: [{filter_chain_match: {address_suffix: x}, #FILTERS}]}",
       "filter_chain_match.address_suffix: is not supported"},
      {"{name: a, #ADDRESS, filter_chains: [{filter_chain_match: {prefix_ranges: [{address_prefix: "
       "x}]}, #FILTERS}]}",
       "filter_chain_match.prefix_ranges[0]: "},
      {"{name: a, #ADDRESS, filter_chains: [{#FILTERS, transport_socket: {name: t, typed_config: "
       "{'@type': type.googleapis.com/a.b.C}}}]}",
       "filter_chains[0].transport_socket.typed_config: unknown type a.b.C"},
      {"{name: a, #ADDRESS, filter_chains: [{#FILTERS}], listener_filters: [{name: x, "
       "typed_config: {'@type': type.googleapis.com/a.b.C}}]}",
       "listener_filters[0].typed_config: unknown type a.b.C"},
      {"{name: a, #ADDRESS, filter_chains: [{#FILTERS}], listener_filters: [{#ORIGINAL, "
       "filter_disabled: {}}]}",
       "listener_filters[0].filter_disabled: has no rule"},
      {"{name: a, address: {pipe: {path: /x, mode: 1023}}, filter_chains: [{#FILTERS}]}",
       "address.pipe.mode: is above 0777"},
      {"{name: a, #ADDRESS, filter_chains: [{#FILTERS}], "
       "max_connections_to_accept_per_socket_event: 0}",
       "max_connections_to_accept_per_socket_event: "},
  };
  for (const Refusal& c : refused) {
    EXPECT_THAT(refusal(filled(c.yaml)), HasSubstr(std::string(c.reason)));
  }
}

}  // namespace
}  // namespace remora::xds::translate
