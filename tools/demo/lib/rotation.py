"""Certificates and their root are replaced under load, and nobody notices."""

import socket
import ssl
import time

from lib.authority import serial_number
from lib.load import promise_no_failures, wait_for_traffic
from lib.processes import wait_until


def certificates(demo):
    report, web = demo.report, demo.pod("web-2")
    report.title("Every certificate is replaced while traffic goes on")
    load = demo.web_load("load-rotation")
    wait_for_traffic(demo, load)
    before = certificate_shown(demo, web)
    began = time.monotonic()
    demo.authority.rotate()
    issued = serial_number(web.identity_folder / "tls.crt")
    wait_until(lambda: certificate_shown(demo, web) == issued,
               "a new connection sees the new certificate")
    report.promise("a new connection sees the new certificate", before != issued,
                   f"{time.monotonic() - began:.1f} s after {len(demo.pods)} were asked for")
    wait_until_read(demo)
    wait_for_traffic(demo, load)
    promise_no_failures(demo, load, "certificates are replaced")


def root(demo):
    report = demo.report
    report.title("The root itself is replaced while traffic goes on")
    load = demo.web_load("load-root")
    wait_for_traffic(demo, load)
    old = trusted(demo)
    for step, said in (("add", "A second root is trusted beside the first."),
                       ("use", "Every certificate is signed by the second."),
                       ("retire", "The first is trusted no more.")):
        report.say(said)
        demo.authority.root(step)
        demo.authority.rotate()
        wait_until_read(demo)
        wait_for_traffic(demo, load)
    new = trusted(demo)
    report.promise("every sidecar trusts the new root alone", old != new and all(
        new in pod.certificates() and old not in pod.certificates() for pod in demo.pods))
    promise_no_failures(demo, load, "the root is replaced")


def trusted(demo):
    return serial_number(demo.pod("client").identity_folder / "ca.crt")


def wait_until_read(demo):
    """Until each sidecar uses what lies in its mount."""
    root_serial = trusted(demo)
    for pod in demo.pods:
        wanted = {serial_number(pod.identity_folder / "tls.crt"), root_serial}
        wait_until(lambda: wanted <= pod.certificates(), f"{pod.sidecar.name} reads its mount")


def certificate_shown(demo, pod):
    """The serial number of the certificate that a new connection to the pod sees."""
    identity = demo.pod("client").identity_folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # it names an account
    context.load_verify_locations(identity / "ca.crt")
    context.load_cert_chain(identity / "tls.crt", identity / "tls.key")
    context.set_alpn_protocols(["remora"])
    with demo.pod("bare-client").namespace.entered():
        connection = socket.create_connection((pod.address, 8080), timeout=10)
    with connection, context.wrap_socket(connection) as channel:
        return int(channel.getpeercert()["serialNumber"], 16)
