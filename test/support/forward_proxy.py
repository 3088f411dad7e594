"""Configuration of a dynamic forward proxy: its DNS cache, cluster and filter."""

from test.support import proxy as px

FILTER = "envoy.filters.http.dynamic_forward_proxy"
MESSAGE = "envoy.extensions.filters.http.dynamic_forward_proxy.v3."


def cache(name, dns, **more):
    """`dns`: the port at which 127.0.0.1 resolves names."""
    return {"name": name, "dns_lookup_family": "V4_PREFERRED", "dns_refresh_rate": "100s", "host_ttl": "300s",
            "typed_dns_resolver_config": px.typed(
                "envoy.network.dns_resolver.cares", "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
                resolvers=[{"socket_address": {"address": "127.0.0.1", "port_value": dns}}]), **more}


def cluster_type(**fields):
    return {"connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": px.typed(
        "envoy.clusters.dynamic_forward_proxy", "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig", **fields)}


def cluster(name, config, **more):
    return {"name": name, **cluster_type(dns_cache_config=config, allow_insecure_cluster_options=True), **more}


def http_filter(config, **more):
    return px.typed(FILTER, MESSAGE + "FilterConfig", dns_cache_config=config, **more)


def for_route(**fields):
    return {"typed_per_filter_config": {FILTER: {"@type": "type.googleapis.com/" + MESSAGE + "PerRouteConfig", **fields}}}
