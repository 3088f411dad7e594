"""What is shown, in order. Each scenario takes the running demo and adds promises to its report."""

import hashlib
import socket
import time

from lib import rotation, security
from lib.load import Load, promise_no_failures, wait_for_traffic
from lib.pods import outbound_stat
from lib.processes import DemoError, wait_until

ROUNDS_TO_BE_QUIET = 20
DISCOVERY_LIMIT_SECONDS = 1.0
RATE_TOLERANCE = 0.2
DIGEST_BYTES = 32 * 1024 * 1024


def path_of_a_request(demo):
    report = demo.report
    client, backend, host1 = demo.pod("client"), demo.pod("backend-1"), demo.hosts[0]
    report.title("The path of a request: A on host1 calls B on host2")
    before = client.requests_out("backend"), backend.requests_in(8080), host1.overlay_packets()
    answer = client.curl("http://backend/", "-D", "-")
    report.show("client$ curl -D - http://backend/\n" + answer)
    wait_until(lambda: backend.requests_served() == 1, "the web server logs the request")
    served = (backend.folder / "access.log").read_text().strip()
    report.show("backend-1's nginx logs\n" + served)
    report.show(f"""\
curl {client.address} connects to 10.96.0.20:80, an address that exists nowhere
  iptables    OUTPUT, not user 1337: to 127.0.0.1:15001
  sidecar A   virtualOutbound reads SO_ORIGINAL_DST, hands over to 0.0.0.0_80, route "80",
              host "backend", cluster outbound|80||backend.demo.svc.cluster.local,
              mutual TLS: shows {client.identity}
  overlay     {client.address} to {backend.address}:8080 inside VXLAN between the hosts
  iptables    PREROUTING: to 127.0.0.1:15006
  sidecar B   virtualInbound, chain of port 8080, shows {backend.identity},
              may A do this?, cluster inbound|8080||, from 127.0.0.6
  nginx       answers""")
    report.promise("the answer comes from B", answer.endswith("backend-1\n"))
    report.promise("A's sidecar carried it", client.requests_out("backend") == before[0] + 1)
    report.promise("B's sidecar carried it", backend.requests_in(8080) == before[1] + 1)
    report.promise("the overlay carried it", host1.overlay_packets() > before[2])
    report.promise("B's application saw only its own sidecar", served.startswith("127.0.0.6 "))
    request_id = served.rpartition("id=")[2]
    report.promise("the request has an id", len(request_id) == 36, request_id)


def discovery(demo):
    report, client = demo.report, demo.pod("client")
    report.title("Discovery under load")
    load = demo.web_load("load-discovery")
    wait_for_traffic(demo, load)
    report.say("Requests go round web-1 on host1 and web-2 on host2. Now web-3 starts on host2: "
               "the same port as web-2 on the same machine, its own sidecar.")
    began = time.monotonic()
    pod = demo.start_pods([demo.new_web_pod("web-3")])[0]
    wait_until(pod.requests_served, "web-3 gets its first request")
    first = time.monotonic()
    report.say(f"It was up after {pod.ready_at - began:.1f} s, and registered.")
    report.promise("a new pod takes traffic within a second of being ready",
                   first - pod.ready_at < DISCOVERY_LIMIT_SECONDS, f"{first - pod.ready_at:.3f} s")

    report.say("Now web-3 is taken out again: no new traffic first, then the pod goes.")
    began = time.monotonic()
    demo.catalogue.register(pod, ready=False)
    wait_until(lambda: pod.address not in client.endpoints("web"), "the client forgets web-3")
    forgotten = time.monotonic()
    wait_until_quiet(demo, pod, load)
    report.promise("a removed pod leaves the client's endpoints within a second",
                   forgotten - began < DISCOVERY_LIMIT_SECONDS, f"{forgotten - began:.3f} s")
    demo.remove_pod(pod)
    wait_for_traffic(demo, load)
    promise_no_failures(demo, load, "a pod comes and goes")


def wait_until_quiet(demo, pod, load):
    """Until traffic passes and none of it reaches the pod."""
    for _ in range(ROUNDS_TO_BE_QUIET):
        served = pod.requests_served()
        wait_for_traffic(demo, load)
        if pod.requests_served() == served:
            return
    raise DemoError(f"{pod.name} still gets traffic")


def tcp_protocols(demo):
    report, client = demo.report, demo.pod("client")
    report.title("TCP: a server that speaks first, and plain bytes")
    with client.namespace.entered():
        connection = socket.create_connection(("10.96.0.30", 2525), timeout=10)
    with connection, connection.makefile("rwb") as stream:
        said = [stream.readline()]
        for word in (b"HELLO\r\n", b"QUIT\r\n"):
            stream.write(word)
            stream.flush()
            said.append(stream.readline())
        ended = stream.read() == b""
    report.show("greeter, over the mesh\n" + b"".join(said).decode())
    report.promise("a server-first protocol works",
                   said == [b"220 greeter-1 ready\r\n", b"250 greeter-1 heard HELLO\r\n",
                            b"221 bye\r\n"] and ended)

    payload = hashlib.sha256(b"seed").digest() * (DIGEST_BYTES // 32)
    with client.namespace.entered():
        connection = socket.create_connection(("10.96.0.40", 7000), timeout=30)
    with connection:
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    report.promise("plain TCP keeps every byte and half-close",
                   answer.decode() == hashlib.sha256(payload).hexdigest(),
                   f"{DIGEST_BYTES >> 20} MiB")
    for service, port in (("greeter", 2525), ("digest", 7000)):
        out = client.stat(f"cluster.{outbound_stat(service, port)}.upstream_cx_total")
        inward = demo.pod(f"{service}-1").stat(f"cluster.inbound|{port}||.upstream_cx_total")
        report.promise(f"both sidecars carried {service}", (out, inward) == (1, 1))

    bare = demo.pod("bare-server")
    before = client.stat("cluster.PassthroughCluster.upstream_cx_total")
    answer = client.curl(f"http://{bare.address}:8080/")
    report.promise("what is in no catalogue is passed on", answer == "bare-server\n"
                   and client.stat("cluster.PassthroughCluster.upstream_cx_total") == before + 1)


def listener_changes(pod):
    return [pod.stat(f"listener_manager.listener_{what}")
            for what in ("added", "modified", "removed")]


def losing_the_control_plane(demo):
    report, client, web2 = demo.report, demo.pod("client"), demo.pod("web-2")
    report.title("The control plane is killed while traffic goes on")
    load = demo.web_load("load-control-plane")
    wait_for_traffic(demo, load)
    before = listener_changes(client)
    report.say(f"kill -9 {demo.control_plane.pid}. While it is gone, web-2 is taken out of the "
               "catalogue: nobody can know.")
    demo.control_plane.kill()
    demo.catalogue.register(web2, ready=False)
    served = web2.requests_served()
    wait_for_traffic(demo, load, 600)
    report.promise("without a control plane the last configuration serves on",
                   web2.requests_served() > served and web2.address in client.endpoints("web"),
                   f"{web2.requests_served() - served} requests to web-2")
    began = time.monotonic()
    demo.control_plane.start()
    wait_until(lambda: web2.address not in client.endpoints("web"),
               "the client learns what it missed", timeout=60)
    report.promise("after its restart sidecars catch up", True, f"{time.monotonic() - began:.1f} s")
    report.promise("reconnecting touches no listener", listener_changes(client) == before)
    demo.catalogue.register(web2, ready=True)
    wait_until(lambda: web2.address in client.endpoints("web"), "web-2 is back")
    wait_for_traffic(demo, load)
    promise_no_failures(demo, load, "the control plane is away and comes back")


def prometheus(demo):
    report, client = demo.report, demo.pod("client")
    report.title("A real Prometheus scrapes every sidecar")
    sidecars = len(demo.pods)
    wait_until(lambda: demo.prometheus.number("sum(up)") == sidecars, "every sidecar is scraped")
    report.promise("every sidecar is scraped", True, f"{sidecars} targets up")
    load = demo.web_load("load-prometheus")
    selector = f'{{pod="client",envoy_cluster_name="{outbound_stat("web", 80)}"}}'
    rate = f"sum(rate(envoy_cluster_upstream_rq_total{selector}[5s]))"
    p99 = (f"histogram_quantile(0.99, sum by (le) "
           f"(rate(envoy_cluster_upstream_rq_time_bucket{selector}[5s])))")
    began, at_first = time.monotonic(), client.requests_out("web")

    def agreeing_rate():
        value = demo.prometheus.number(rate) or 0
        measured = (client.requests_out("web") - at_first) / (time.monotonic() - began)
        return value if abs(value - measured) < RATE_TOLERANCE * measured else None
    rate_value = wait_until(agreeing_rate, "PromQL's request rate is the sidecar's")
    p99_value = wait_until(lambda: demo.prometheus.number(p99), "PromQL gives a p99")
    report.show(f"{rate}\n  {rate_value:.1f} requests/s\n{p99}\n  {p99_value:.2f} ms")
    report.promise("PromQL gives the request rate that the sidecar counts", True,
                   f"{rate_value:.0f}/s")
    report.promise("PromQL gives p99", p99_value > 0, f"{p99_value:.2f} ms")
    promise_no_failures(demo, load, "Prometheus scrapes")
    total = client.requests_out("web")
    counter = f"envoy_cluster_upstream_rq_total{selector}"
    wait_until(lambda: demo.prometheus.number(counter) == total,
               "Prometheus has counted every request")
    report.promise("Prometheus has counted every request", True, total)


def latency(demo):
    report = demo.report
    report.title("Latency: direct over the overlay, with sidecars, with host networking")
    ways = (("pods, direct over overlay", demo.pod("bare-client").namespace,
             f"http://{demo.pod('bare-server').address}:8080/"),
            ("pods with sidecars", demo.pod("client").namespace, "http://backend/"),
            ("host networking", demo.hosts[0].namespace,
             f"http://{demo.hosts[1].wire_address}:8080/"))
    failed = 0
    for way, namespace, url in ways:
        outcomes = [Load(namespace, url, demo.folder, "latency", connections, paced=False,
                         duration=f"{demo.measure_seconds}s").finish() for connections in (1, 16)]
        failed += sum(outcome["failed"] for outcome in outcomes)
        report.latency_row(way, *outcomes)
    report.promise("no request fails while latency is measured", failed == 0, failed)


def nothing_went_wrong(demo):
    report = demo.report
    report.title("Afterwards")
    demo.check_all_alive()
    report.promise("no sidecar ended", True, f"{len(demo.pods)} run")
    refusals = demo.control_plane.refusals()
    report.promise("no sidecar refused its configuration", not refusals, "\n".join(refusals))
    rules = demo.pod("client").namespace.run("iptables-save", "-t", "nat")
    report.show("client's redirection\n" + "\n".join(
        line for line in rules.splitlines() if line.startswith("-A")))


ALL = (path_of_a_request, discovery, tcp_protocols, security.encryption, security.who_calls,
       security.authorization, security.pods_without_sidecars, rotation.certificates,
       rotation.root, losing_the_control_plane, prometheus, latency, nothing_went_wrong)
