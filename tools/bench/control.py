"""A control plane that serves prepared clusters and endpoints over ADS (delta), and pushes endpoints one by one.

That of the tests prepares each answer anew, which takes longer than the proxies under measurement do."""

import queue
import threading
from concurrent import futures

import grpc

from test.support import api
from test.support.ads import SERVICE

EDS = {"eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}}}


def resources(clusters, endpoints):
    """Clusters by EDS, and the endpoints of each: name -> Any."""
    made = dict(api.resource("cluster", {"name": f"c{i}", "type": "EDS", "connect_timeout": "1s", **EDS})
                for i in range(clusters))
    return made, {f"c{i}": assignment(i, endpoints) for i in range(clusters)}


def assignment(number, endpoints, port=9000):
    """ClusterLoadAssignment of cluster `number`; `port` is that of its first endpoint."""
    hosts = [{"endpoint": {"address": {"socket_address": {
        "address": f"10.{number >> 8 & 255}.{number & 255}.{i + 1}", "port_value": 9000 if i else port}}}} for i in range(endpoints)]
    return api.resource("endpoint", {"cluster_name": f"c{number}", "endpoints": [{"lb_endpoints": hosts}]})[1]


class ControlPlane:
    def __init__(self, clusters, assignments):
        self.clusters, self.assignments = clusters, assignments
        self.pushes, self.acked, self.refused = queue.Queue(), -1, []
        self.discovery = api.module("discovery")
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(
                self._serve, self.discovery.DeltaDiscoveryRequest.FromString)}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def response(self, kind, found, nonce):
        """Serialized; `found`: name -> Any."""
        resources = [self.discovery.Resource(name=name, version=nonce, resource=message) for name, message in found.items()]
        return self.discovery.DeltaDiscoveryResponse(system_version_info=nonce, type_url=api.type_url(kind), nonce=nonce,
                                                     resources=resources).SerializeToString()

    def push(self, response):
        self.pushes.put(response)

    def stop(self):
        self.pushes.put(None)
        self.server.stop(0).wait()

    def _serve(self, requests, context):
        threading.Thread(target=self._read, args=(requests,), daemon=True).start()
        context.add_callback(lambda: self.pushes.put(None))
        while (message := self.pushes.get()) is not None:
            yield message

    def _read(self, requests):
        known = False
        try:
            for request in requests:
                if request.HasField("error_detail"):
                    self.refused.append(request.error_detail.message)
                if request.response_nonce.isdigit():
                    self.acked = int(request.response_nonce)
                elif request.type_url == api.type_url("cluster") and not known:
                    known = True
                    self.push(self.response("cluster", self.clusters, "clusters"))
                elif request.type_url == api.type_url("endpoint") and request.resource_names_subscribe:
                    names = request.resource_names_subscribe
                    self.push(self.response("endpoint", {n: self.assignments[n] for n in names}, "endpoints"))
        except grpc.RpcError:
            pass  # the proxy has gone
