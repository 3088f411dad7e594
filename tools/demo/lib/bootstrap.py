"""What a sidecar is started with: where the control plane is and who it has to be."""

from lib.authority import spiffe_id

CONTROL_PLANE_ACCOUNT = "demo/control-plane"

BOOTSTRAP = """\
node:
  id: {node_id}
  cluster: {name}.demo
  metadata: {{IDENTITY: {identity}}}
admin:
  address: {{socket_address: {{address: 127.0.0.1, port_value: 15000}}}}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{{envoy_grpc: {{cluster_name: xds-grpc}}}}]
  cds_config: {{ads: {{}}, initial_fetch_timeout: 0s, resource_api_version: V3}}
  lds_config: {{ads: {{}}, initial_fetch_timeout: 0s, resource_api_version: V3}}
static_resources:
  clusters:
  - name: xds-grpc
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          alpn_protocols: [h2]
          tls_certificate_sds_secret_configs:
          - name: workload
            sds_config:
              path_config_source: {{path: {identity}/workload.json, watched_directory: {{path: {identity}}}}}
              resource_api_version: V3
          combined_validation_context:
            default_validation_context:
              match_typed_subject_alt_names: [{{san_type: URI, matcher: {{exact: {control_plane}}}}}]
            validation_context_sds_secret_config:
              name: trust
              sds_config:
                path_config_source: {{path: {identity}/trust.json, watched_directory: {{path: {identity}}}}}
                resource_api_version: V3
    load_assignment:
      cluster_name: xds-grpc
      endpoints:
      - lb_endpoints:
        - endpoint:
            address:
              socket_address:
                address: {control_plane_address}
                port_value: {control_plane_port}
  - name: prometheus_stats
    type: STATIC
    connect_timeout: 0.250s
    load_assignment:
      cluster_name: prometheus_stats
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: 15000}}}}
  listeners:
  - name: metrics
    address: {{socket_address: {{address: 0.0.0.0, port_value: 15090}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: stats
          route_config:
            virtual_hosts:
            - name: backend
              domains: ["*"]
              routes:
              - match: {{prefix: /stats/prometheus}}
                route: {{cluster: prometheus_stats}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"""


def bootstrap(pod, control_plane):
    return BOOTSTRAP.format(
        node_id=pod.node_id, name=pod.name, identity=pod.identity_folder,
        control_plane=spiffe_id(CONTROL_PLANE_ACCOUNT), control_plane_address=control_plane.address,
        control_plane_port=control_plane.port)
