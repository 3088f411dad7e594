"""The api/ messages in Python, generated once per test session from the .proto files of the tree."""

import functools
import glob
import importlib
import os
import subprocess
import sys
import tempfile

from test.support.proxy import ROOT


@functools.lru_cache(maxsize=None)
def _generate():
    out = tempfile.mkdtemp(prefix="remora-api-")
    protos = sorted(os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, "api", "*.proto")))
    subprocess.run(["protoc", "-I", ROOT, "-I", "/usr/include", f"--python_out={out}", *protos], check=True, cwd=ROOT)
    sys.path.insert(0, out)
    modules = {}
    for proto in protos:
        modules[os.path.basename(proto)[: -len(".proto")]] = importlib.import_module(
            proto[: -len(".proto")].replace("/", ".") + "_pb2"
        )
    return modules


def module(name):
    """`discovery`, `listener`, ...: the generated module."""
    return _generate()[name]


TYPES = {
    "cluster": ("type.googleapis.com/envoy.config.cluster.v3.Cluster", "cluster", "Cluster"),
    "endpoint": ("type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment", "endpoint", "ClusterLoadAssignment"),
    "listener": ("type.googleapis.com/envoy.config.listener.v3.Listener", "listener", "Listener"),
    "secret": ("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "tls", "Secret"),
    "route": ("type.googleapis.com/envoy.config.route.v3.RouteConfiguration", "route", "RouteConfiguration"),
}


def type_url(kind):
    return TYPES[kind][0]


def resource(kind, fields, unknown=b""):
    """(name, Any) of a resource given as a dict in proto3 JSON form; `unknown` is raw bytes put behind the message."""
    from google.protobuf import any_pb2, json_format

    _generate()
    url, module_name, message_name = TYPES[kind]
    message = json_format.ParseDict(fields, getattr(module(module_name), message_name)())
    name = fields.get("name") or fields.get("cluster_name")
    return name, any_pb2.Any(type_url=url, value=message.SerializeToString() + unknown)
