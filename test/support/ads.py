"""An ADS control plane for tests on grpcio: it serves exactly what a test tells it, good or broken, state of the world
or delta, and records every request."""

import queue
import threading
from concurrent import futures

import grpc

from test.support import api
from test.support.proxy import wait_for

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
SECRETS = "envoy.service.secret.v3.SecretDiscoveryService"


class AdsServer:
    def __init__(self, port=0, credentials=None, path=None):
        self.path = path  # of a Unix socket to listen on besides
        self.credentials = credentials  # grpc.ssl_server_credentials(...) or None for plain text
        self.lock = threading.RLock()
        self.resources = {api.type_url(kind): {} for kind in api.TYPES}  # type URL -> name -> (version, Any)
        self.version = 0
        self.requests = []  # every request, in order of arrival
        self.streams = []  # a queue of events per open stream
        self.stream_count = 0
        self._start(port)

    def _start(self, port):
        discovery = api.module("discovery")
        handlers = {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(
                self._sotw, discovery.DiscoveryRequest.FromString, discovery.DiscoveryResponse.SerializeToString),
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                self._delta, discovery.DeltaDiscoveryRequest.FromString,
                discovery.DeltaDiscoveryResponse.SerializeToString),
        }
        secrets = {
            "StreamSecrets": handlers["StreamAggregatedResources"],
            "DeltaSecrets": handlers["DeltaAggregatedResources"],
        }
        self.server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),
                                               grpc.method_handlers_generic_handler(SECRETS, secrets)))
        address = f"127.0.0.1:{port}"
        self.port = (self.server.add_secure_port(address, self.credentials) if self.credentials
                     else self.server.add_insecure_port(address))
        if self.path:
            self.server.add_insecure_port("unix:" + self.path)
        self.server.start()

    # ------------------------------------------------------------------ what a test says
    def set(self, kind, *resources, unknown=b""):
        """Adds or replaces resources of a kind and pushes them."""
        with self.lock:
            self.version += 1
            for fields in resources:
                name, message = api.resource(kind, fields, unknown)
                self.resources[api.type_url(kind)][name] = (str(self.version), message)
        self._push(api.type_url(kind))

    def set_raw(self, kind, name, message):
        with self.lock:
            self.version += 1
            self.resources[api.type_url(kind)][name] = (str(self.version), message)
        self._push(api.type_url(kind))

    def remove(self, kind, name):
        with self.lock:
            self.version += 1
            self.resources[api.type_url(kind)].pop(name, None)
        self._push(api.type_url(kind))

    def nacks(self, kind=None):
        """error_detail messages received."""
        with self.lock:
            return [r.error_detail.message for r in self.requests
                    if r.HasField("error_detail") and (kind is None or r.type_url == api.type_url(kind))]

    def wait_nack(self, kind, text, timeout=10):
        return wait_for(lambda: [n for n in self.nacks(kind) if text in n], timeout, f"NACK with {text!r}; got {self.nacks()}")

    def types_in_order(self):
        """Type URLs in the order in which they were first asked for."""
        with self.lock:
            order = []
            for request in self.requests:
                if request.type_url not in order:
                    order.append(request.type_url)
            return order

    def stop(self):
        with self.lock:
            for events in self.streams:
                events.put(None)
        self.server.stop(0).wait()

    def restart(self):
        """Starts again on the same port with the same resources."""
        self.requests = []
        self._start(self.port)

    # ------------------------------------------------------------------ serving
    def _push(self, url):
        with self.lock:
            for events in self.streams:
                events.put(("changed", url))

    def _open(self, requests, context):
        events = queue.Queue()
        with self.lock:
            self.streams.append(events)
            self.stream_count += 1

        def read():
            try:
                for request in requests:
                    with self.lock:
                        self.requests.append(request)
                    events.put(("request", request))
            except Exception:  # the stream broke: grpc raises its own kinds here
                pass
            events.put(None)

        threading.Thread(target=read, daemon=True).start()
        context.add_callback(lambda: events.put(None))
        return events

    def _close(self, events):
        with self.lock:
            if events in self.streams:
                self.streams.remove(events)

    def _sotw(self, requests, context):
        discovery = api.module("discovery")
        events = self._open(requests, context)
        wanted, sent, nonce = {}, {}, 0
        try:
            while (event := events.get()) is not None:
                kind, value = event
                url = value if kind == "changed" else value.type_url
                if kind == "request":
                    if value.response_nonce and value.response_nonce != sent.get(url, ("",))[0]:
                        continue  # an answer to something older
                    names = list(value.resource_names)
                    if value.response_nonce and names == wanted.get(url):
                        continue  # ACK or NACK
                    wanted[url] = names
                if url not in wanted:
                    continue
                with self.lock:
                    found = self.resources[url]
                    chosen = [m for n, (_, m) in sorted(found.items()) if not wanted[url] or n in wanted[url]]
                    version = str(self.version)
                # Endpoint and route responses answer only once there is something.
                if wanted[url] and not chosen:
                    continue
                nonce += 1
                sent[url] = (str(nonce),)
                yield discovery.DiscoveryResponse(version_info=version, type_url=url, nonce=str(nonce), resources=chosen)
        finally:
            self._close(events)

    def _delta(self, requests, context):
        discovery = api.module("discovery")
        events = self._open(requests, context)
        subscribed, known, nonce = {}, {}, 0
        try:
            while (event := events.get()) is not None:
                kind, value = event
                url = value if kind == "changed" else value.type_url
                fresh = False
                if kind == "request":
                    if url not in subscribed:
                        subscribed[url] = set(value.resource_names_subscribe) or {"*"}
                        known[url] = dict(value.initial_resource_versions)
                        fresh = True
                    elif value.resource_names_subscribe or value.resource_names_unsubscribe:
                        subscribed[url] |= set(value.resource_names_subscribe)
                        subscribed[url] -= set(value.resource_names_unsubscribe)
                        for name in value.resource_names_subscribe:
                            known[url].pop(name, None)
                        fresh = bool(value.resource_names_subscribe)
                    else:
                        continue
                if url not in subscribed:
                    continue
                names = subscribed[url]
                with self.lock:
                    found = {n: v for n, v in self.resources[url].items() if "*" in names or n in names}
                    version = str(self.version)
                changed = {n: v for n, v in found.items() if known[url].get(n) != v[0]}
                removed = [n for n in known[url] if n not in found]
                if not changed and not removed and not (fresh and "*" in names):
                    continue
                known[url] = {n: v[0] for n, v in found.items()}
                nonce += 1
                yield discovery.DeltaDiscoveryResponse(
                    system_version_info=version, type_url=url, nonce=str(nonce), removed_resources=removed,
                    resources=[discovery.Resource(name=n, version=v[0], resource=v[1]) for n, v in changed.items()])
        finally:
            self._close(events)


def ads_bootstrap(port, delta=False, **static):
    """A bootstrap that takes everything from ADS at `port`."""
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    cluster = {
        "name": "xds",
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": http2,
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
            "socket_address": {"address": "127.0.0.1", "port_value": port}}}}]}]},
    }
    return {
        "node": {"id": "test-node", "cluster": "test-cluster"},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if delta else "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
                "set_node_on_first_message_only": True,
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "resource_api_version": "V3"},
        },
        "static_resources": {"clusters": [cluster] + static.get("clusters", []), "listeners": static.get("listeners", [])},
    }
