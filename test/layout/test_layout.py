"""The shape of the tree: include order between rooms, file lengths, where libraries and protobuf may appear."""

import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Lower rooms first. A room may include itself and rooms of a lower rank.
RANK = {
    "proxy/base": 0,
    "proxy/event": 1,
    "proxy/stats": 1,
    "proxy/net": 2,
    "proxy/tls": 3,
    "proxy/http": 4,
    "proxy/http1": 5,
    "proxy/http2": 5,
    "proxy/upstream": 6,
    "proxy/telemetry": 7,
    "proxy/router": 8,
    "proxy/policy": 9,
    "proxy/connection_manager": 10,
    "filters": 11,
    "xds": 12,
    "proxy/server": 13,
    "proxy": 14,
}


LIBRARIES = {
    r"<event2?/": "proxy/event",
    r"<openssl/": "proxy/tls",
    r"<nghttp2/": "proxy/http2",
    r"<ares": "proxy/upstream",
}


def tracked(*suffixes):
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [f for f in out.stdout.splitlines() if f.endswith(suffixes) and os.path.exists(os.path.join(ROOT, f))]


def room_of(path):
    best = ""
    for room in RANK:
        if (path.startswith(room + "/") or path == room) and len(room) > len(best):
            best = room
    return best


def includes(path):
    with open(os.path.join(ROOT, path), errors="replace") as f:
        for number, line in enumerate(f, 1):
            match = re.match(r'\s*#\s*include\s+(["<][^">]+[">])', line)
            if match:
                yield number, match.group(1)


def product_sources():
    return [f for f in tracked(".h", ".cc") if f.startswith(("proxy/", "xds/", "filters/"))
            and not f.endswith(("_test.cc", "_fuzz.cc", "_bench.cc")) and "testing" not in f and "test_" not in f]


def test_includes_go_one_way():
    wrong = []
    for path in product_sources():
        room = room_of(path)
        for number, name in includes(path):
            target = room_of(name.strip('"<>'))
            if name.startswith('"') and target and target != room and RANK[target] >= RANK[room]:
                # A filter's config.cc is where translation meets the filter.
                if room == "filters" and target == "xds" and path.endswith("config.cc"):
                    continue
                wrong.append(f"{path}:{number} includes {name}")
    assert not wrong, "\n".join(wrong)


def test_no_protobuf_on_the_data_path():
    wrong = [f"{path}:{n} includes {name}" for path in product_sources()
             if path.startswith("proxy/") and not path.startswith("proxy/server/")
             for n, name in includes(path) if name.endswith('.pb.h"') or name.endswith(".pb.h>")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("pattern,room", LIBRARIES.items(), ids=lambda v: str(v))
def test_library_has_one_room(pattern, room):
    wrong = [f"{path}:{n} includes {name}" for path in product_sources() for n, name in includes(path)
             if re.match(pattern, name) and not path.startswith(room + "/")]
    assert not wrong, "\n".join(wrong)


def test_files_stay_short():
    wrong = []
    for path in tracked(".h", ".cc", ".py", ".sh", ".bzl"):
        with open(os.path.join(ROOT, path), errors="replace") as f:
            lines = sum(1 for _ in f)
        if lines > 500:
            wrong.append(f"{path}: {lines} lines")
    assert not wrong, "\n".join(wrong)


@pytest.mark.skipif(not shutil.which("clang-format-16"), reason="needs clang-format-16")
def test_sources_are_formatted():
    run = subprocess.run(["clang-format-16", "--dry-run", "-Werror", *tracked(".h", ".cc")], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]


def test_only_the_fixed_top_level():
    allowed = {"BUILD.bazel", "WORKSPACE", "proxy", "xds", "filters", "api", "test", "tools", "README.md",
               "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE"}
    top = {f.split("/")[0] for f in tracked("")}
    assert {t for t in top if not t.startswith(".")} <= allowed


def test_no_sleeping_tests():
    wrong = []
    for path in tracked("_test.cc", ".py"):
        if not path.startswith(("test/", "proxy/", "xds/", "filters/")) or path.endswith("test_layout.py"):
            continue
        with open(os.path.join(ROOT, path)) as f:
            for number, line in enumerate(f, 1):
                # The one poll loop of the harness waits between looks.
                if re.search(r"sleep_for|usleep\(|time\.sleep", line) and "poll" not in line:
                    wrong.append(f"{path}:{number}: {line.strip()}")
    assert not wrong, "\n".join(wrong)
