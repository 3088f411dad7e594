"""Flags through the real binary: what each of them changes, and that Envoy takes and refuses the same."""

import json
import os
import re
import subprocess

import pytest

from test.support import proxy as px
from test.support.client import get
from test.support.proxy import wait_for

ROUTES = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]


def bootstrap(**more):
    return px.static_bootstrap([px.static_listener("in", px.http_filter_chain(ROUTES))], [px.static_cluster("app", 1)], **more)


def running(tmp_path, *args, config=None):
    return px.Proxy(px.REMORA, config or bootstrap(), args=args, directory=str(tmp_path))


def test_the_node_is_who_the_flags_say(tmp_path):
    config = bootstrap(node={"id": "n", "cluster": "c", "locality": {"region": "r", "zone": "z"}})
    args = ["--service-node", "flag-n", "--service-cluster", "flag-c", "--service-zone", "flag-z"]
    with running(tmp_path, *args, config=config) as proxy:
        info = json.loads(proxy.admin("/server_info")[1])
        node = info["node"]
        assert (node["id"], node["cluster"]) == ("flag-n", "flag-c")
        assert (node["locality"]["region"], node["locality"]["zone"]) == ("r", "flag-z")
        assert node["user_agent_name"] == "envoy" and node["extensions"], "as control planes are told"
        options = info["command_line_options"]
        assert (options["service_node"], options["service_zone"]) == ("flag-n", "flag-z")


def test_as_many_workers_as_asked_for(tmp_path):
    with running(tmp_path, "--concurrency", "3") as proxy:
        assert proxy.stat("server.concurrency") == 3
        tasks = f"/proc/{proxy.process.pid}/task"

        def workers():
            names = []
            for thread in os.listdir(tasks):
                with open(f"{tasks}/{thread}/comm") as f:
                    names.append(f.read().strip())
            return sorted(name for name in names if name.startswith("wrk:"))

        wait_for(lambda: workers() == ["wrk:0", "wrk:1", "wrk:2"], what="three workers")


def test_tags_are_on_every_metric(tmp_path):
    with running(tmp_path, "--stats-tag", "pod:a-1", "--stats-tag", "app:web") as proxy:
        samples = [line for line in proxy.admin("/stats/prometheus")[1].splitlines() if not line.startswith("#")]
        assert samples and all('pod="a-1"' in line and 'app="web"' in line for line in samples)


def test_log_lines_as_asked_for(tmp_path):
    with running(tmp_path, "-l", "error", "--component-log-level", "main:info,upstream:debug", "--log-format", "<%n|%l> %v") as proxy:
        lines = proxy.output().splitlines()
        assert lines and all(re.match(r"<(main\|info|upstream\|debug)> ", line) for line in lines), lines
        assert any(line.startswith("<main|info> ") for line in lines)
        assert any(line.startswith("<upstream|debug> ") for line in lines)


def test_init_only_initialises_and_exits(tmp_path):
    proxy = px.Proxy(px.REMORA, bootstrap(), args=["--mode", "init_only"], directory=str(tmp_path), wait_ready=False)
    try:
        assert proxy.wait_exit(10) == 0
        assert "all clusters and listeners initialized" in proxy.output()
    finally:
        proxy.stop()


def test_the_admin_address_is_written(tmp_path):
    with running(tmp_path) as proxy:
        with open(proxy.admin_path) as f:
            assert re.fullmatch(r"127\.0\.0\.1:\d+\n?", f.read())


def test_access_logs_are_written_at_the_interval(tmp_path):
    log = str(tmp_path / "access.log")
    filters = px.http_filter_chain(ROUTES, access_log=px.file_access_log(log, "%RESPONSE_CODE%\n"))
    config = px.static_bootstrap([px.static_listener("in", filters)], [])
    with running(tmp_path, "--file-flush-interval-msec", "20", config=config) as proxy:
        assert get(proxy.port("in")).status == 200
        wait_for(lambda: os.path.exists(log) and os.path.getsize(log) > 0, 2.0, "a line, long before ten seconds")


# --- taken and refused as Envoy does ---

TAKEN = [
    "--concurrency 2 --service-node n --service-cluster c --service-zone z --parent-shutdown-time-s 5 --drain-time-s 45 "
    "--drain-strategy gradual --disable-hot-restart --local-address-ip-version v4 --file-flush-interval-msec 1000 "
    "--allow-unknown-static-fields --reject-unknown-dynamic-fields --skip-deprecated-logs -l warning "
    "--component-log-level upstream:debug,http:trace,rbac:info,jwt:warning,config:error --log-format %v "
    "--admin-address-path admin.txt --stats-tag a:b --stats-tag c:d/e --config-yaml {}",
    "--base-id 3 --restart-epoch 0 --drain-time-s 0 --drain-strategy immediate --local-address-ip-version v6 "
    "--ignore-unknown-dynamic-fields --log-level off --log-path remora.log --mode init_only",
    "--version", "--help",
]
REFUSED = [
    "--concurrency many", "--base-id x", "--restart-epoch x", "--parent-shutdown-time-s x", "--drain-time-s x",
    "--drain-strategy Gradual", "--local-address-ip-version v5", "--file-flush-interval-msec x", "-l loud",
    "--component-log-level nonesuch:debug", "--component-log-level upstream:loud", "--component-log-level upstream",
    "--stats-tag a", "--stats-tag a:", "--stats-tag a.b:c", "--stats-tag a_b:c", "--stats-tag a:b.c", "--mode Validate",
    "--config-yaml {nonesuch:1}", "--nonesuch", "stray", "-l info -l debug", "--service-node", "-c nonesuch.yaml",
]
DIFFERENT = {
    "--restart-epoch 1": "there is no hot restart: a second epoch would wait for a first that does not answer",
    "--reject-unknown-dynamic-fields --ignore-unknown-dynamic-fields": "they contradict each other",
    "--stats-tag :b": "a label has a name",
}


def exit_status(binary, words, directory):
    command = [binary, *words]
    if "-c" not in words:
        command += ["-c", "bootstrap.json"]
    if "--mode" not in words:
        command += ["--mode", "validate"]
    if os.path.basename(binary) == "envoy" and not {"--base-id", "--restart-epoch"} & set(words):
        command.append("--use-dynamic-base-id")
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=directory).returncode


def test_flags_are_taken_and_refused_as_envoy_does(tmp_path):
    if not px.ENVOY or not os.path.exists(px.ENVOY):
        pytest.skip("ENVOY_BIN does not name an Envoy binary")
    with open(tmp_path / "bootstrap.json", "w") as f:
        json.dump(bootstrap(), f)
    wrong = []
    for flags in TAKEN + REFUSED:
        theirs, ours = (exit_status(binary, flags.split(), str(tmp_path)) for binary in (px.ENVOY, px.REMORA))
        if (theirs == 0) != (flags in TAKEN) or (ours == 0) != (flags in TAKEN):
            wrong.append(f"{flags}: Envoy {theirs}, Remora {ours}")
    assert not wrong, "\n".join(wrong)
    for flags, reason in DIFFERENT.items():
        assert exit_status(px.REMORA, flags.split(), str(tmp_path)) != 0, reason
