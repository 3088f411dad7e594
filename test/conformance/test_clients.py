"""Clients that others wrote, unmodified, through a pair of sidecars with mutual TLS and HTTP/2 between them."""

import json
import os
import shutil
import subprocess
import threading

import httpx
import pytest

from test.support import proxy as px, websocket
from test.support.tls import CLIENT_ID, SERVER_ID, downstream, mutual, pki, trust, upstream_tls  # noqa: F401
from test.support.upstream import Upstream

OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
UPGRADES = {"upgrade_configs": [{"upgrade_type": "websocket"}], "http2_protocol_options": {"allow_connect": True}}
PARTS = 12
REPORTS = []  # what the page saw
PAGE = b"""<!doctype html><title>waiting</title><body><script>
addEventListener("load", async () => {
  const parts = [...Array(%d).keys()].map(i => fetch("/part/" + i).then(r => r.text()));
  const echo = fetch("/echo", {method: "POST", body: "posted"}).then(r => r.text());
  const talk = new Promise((done, failed) => {
    const socket = new WebSocket("ws://" + location.host + "/socket");
    socket.onopen = () => socket.send("said");
    socket.onmessage = message => { socket.close(); done(message.data); };
    socket.onerror = failed;
  });
  const seen = (await Promise.all(parts)).join(",") + ";" + await echo + ";" + await talk;
  await fetch("/report", {method: "POST", body: seen});
});
</script></body>""" % PARTS


def serve(peer):
    while True:
        head, body = peer.read_request()
        path = head.split(b" ")[1]
        kind = b"text/plain"
        if path == b"/":
            body, kind = PAGE, b"text/html"
        elif path == b"/report":
            REPORTS.append(body.decode())
        elif path.startswith(b"/part/"):
            body = b"part" + path[6:]
        elif path.startswith(b"/bytes/"):
            body = b"x" * int(path[7:])
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\ncontent-type: %s\r\n\r\n" % (len(body), kind) + body)


class Pair:
    """client -> sidecar (plain, either HTTP version) -> sidecar (mutual TLS, HTTP/2) -> application."""

    def __init__(self, pki, directory, app_port, socket_port):
        server_tls = downstream({**mutual(pki, CLIENT_ID), "alpn_protocols": ["h2"]}, require_client_certificate=True)
        listener = px.static_listener("in", px.http_filter_chain(
            [{"match": {"prefix": "/socket"}, "route": {"cluster": "sockets"}},
             {"match": {"prefix": "/"}, "route": {"cluster": "app"}}], stat_prefix="inbound", **UPGRADES))
        listener["filter_chains"][0]["transport_socket"] = server_tls
        clusters = [px.static_cluster("app", app_port), px.static_cluster("sockets", socket_port)]
        self.server = px.Proxy(px.REMORA, px.static_bootstrap([listener], clusters),
                               directory=os.path.join(directory, "server"))
        client_tls = upstream_tls({"tls_certificates": [pki.client.message()], "validation_context": trust(pki.root, SERVER_ID),
                                   "alpn_protocols": ["h2"]})
        over_h2 = {OPTIONS: {"@type": "type.googleapis.com/" + OPTIONS,
                             "explicit_http_config": {"http2_protocol_options": {}}}}
        outbound = px.static_listener("out", px.http_filter_chain(
            [{"match": {"prefix": "/"}, "route": {"cluster": "peer"}}], stat_prefix="outbound", **UPGRADES))
        self.client = px.Proxy(px.REMORA, px.static_bootstrap([outbound], [px.static_cluster(
            "peer", self.server.port("in"), transport_socket=client_tls, typed_extension_protocol_options=over_h2)]),
            directory=os.path.join(directory, "client"))
        self.port = self.client.port("out")
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        self.client.stop()
        self.server.stop()


@pytest.fixture(scope="module")
def pair(pki, tmp_path_factory):
    directory = tmp_path_factory.mktemp("pair")
    for name in ("client", "server"):
        (directory / name).mkdir()
    sockets = websocket.Server(websocket.echo)
    with Upstream(serve) as app:
        sidecars = Pair(pki, str(directory), app.port, sockets.port)
        yield sidecars
        sidecars.close()
    sockets.close()


def test_httpx_in_either_version(pair):
    for client in (httpx.Client(), httpx.Client(http1=False, http2=True)):
        with client:
            assert client.get(pair.url + "/bytes/100000").content == b"x" * 100_000
            answer = client.post(pair.url + "/echo", content=b"y" * 300_000)
            assert answer.content == b"y" * 300_000
            assert answer.http_version == ("HTTP/1.1" if client._transport._pool._http1 else "HTTP/2")
    assert pair.server.stat("http.inbound.downstream_cx_http2_total") >= 1
    assert pair.server.stat("http.inbound.downstream_cx_http1_total") == 0


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl(pair, version):
    # One transfer each: Debian's curl spoils the second one on a connection in clear text (with Envoy as well).
    def curl(*args):
        return subprocess.run(["curl", "-sS", version, *args], capture_output=True, check=True, timeout=30).stdout
    assert curl(pair.url + "/bytes/300000") == b"x" * 300_000
    assert curl("-d", "y" * 100_000, pair.url + "/echo") == b"y" * 100_000


GO = """package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	url := os.Args[1]
	protocols := new(http.Protocols)
	if os.Args[2] == "h2" {
		protocols.SetUnencryptedHTTP2(true)
	} else {
		protocols.SetHTTP1(true)
	}
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, MaxIdleConnsPerHost: 8}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	result := map[string]int{}
	for i := 0; i < 200; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			body := strings.Repeat("z", 1000+i)
			answer, err := client.Post(url+"/echo", "text/plain", strings.NewReader(body))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				result[err.Error()]++
				return
			}
			defer answer.Body.Close()
			got, _ := io.ReadAll(answer.Body)
			if string(got) == body {
				result[answer.Proto+" "+answer.Status]++
			} else {
				result["another body"]++
			}
		}()
	}
	wg.Wait()
	out, _ := json.Marshal(result)
	fmt.Println(string(out))
}
"""


def go_can_speak_h2c():
    if not shutil.which("go"):
        return False
    version = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True).stdout.strip()
    return tuple(int(n) for n in version.removeprefix("go").split(".")[:2]) >= (1, 24) if version.startswith("go1") else False


@pytest.mark.skipif(not go_can_speak_h2c(), reason="needs Go 1.24, whose client speaks HTTP/2 in clear text by itself")
def test_go(pair, tmp_path):
    source = tmp_path / "main.go"
    source.write_text(GO)
    binary = str(tmp_path / "client")
    built = subprocess.run(["go", "build", "-o", binary, str(source)], capture_output=True, text=True, timeout=300,
                           env={**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"})
    assert built.returncode == 0, built.stderr
    for version, name in (("h2", "HTTP/2.0"), ("h1", "HTTP/1.1")):
        out = subprocess.run([binary, pair.url, version], capture_output=True, text=True, timeout=60, check=True).stdout
        assert json.loads(out) == {f"{name} 200 OK": 200}


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs chromium")
def test_a_browser_loads_a_page_with_parts_and_talks_over_a_websocket(pair, tmp_path):
    browser = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--user-data-dir={tmp_path}/profile", pair.url + "/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        px.wait_for(lambda: REPORTS, 30, "the page to report")
    finally:
        browser.terminate()
        browser.wait(10)
    assert REPORTS == [",".join(f"part{i}" for i in range(PARTS)) + ";posted;said"]
