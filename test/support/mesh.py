"""A proxy that takes everything from a control plane, and resources to give it: one upstream behind cluster "app", route
configuration "main" and listener "in"."""

import contextlib

from test.support import proxy as px
from test.support.ads import AdsServer, ads_bootstrap
from test.support.upstream import Upstream, answer_with

ADS = {"ads": {}, "resource_api_version": "V3"}


def ok(text):
    return answer_with(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(text), text))


def eds_cluster(name, **more):
    return {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": ADS}, **more}


def assignment(name, *ports):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {
        "address": "127.0.0.1", "port_value": p}}}} for p in ports]}]}


def rds_listener(name="in", route="main", port=0, source=None, **more):
    filters = [px.typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="in",
        rds={"route_config_name": route, "config_source": source or ADS},
        http_filters=[px.typed("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router")],
        **more)]
    return px.static_listener(name, filters, port=port)


def routes(cluster, name="main", **route):
    return {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
        {"match": {"prefix": "/"}, "route": {"cluster": cluster, **route}}]}]}


@contextlib.contextmanager
def running(directory, delta, args=()):
    """(control plane, proxy, upstream), with CDS, EDS, LDS and RDS over ADS; the upstream answers "one"."""
    ads = AdsServer()
    upstream = Upstream(ok(b"one"))
    ads.set("endpoint", assignment("app", upstream.port))
    ads.set("cluster", eds_cluster("app"))
    ads.set("route", routes("app"))
    ads.set("listener", rds_listener())
    proxy = px.Proxy(px.REMORA, ads_bootstrap(ads.port, delta=delta), args=list(args), directory=str(directory))
    try:
        yield ads, proxy, upstream
    finally:
        proxy.stop()
        ads.stop()
        upstream.close()
