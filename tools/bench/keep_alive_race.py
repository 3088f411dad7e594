#!/usr/bin/env python3
"""A million requests at about the moment at which the application closes idle connections; counts what was lost or came twice.

    REMORA_BIN=.bazel-bin/proxy/remora python3 tools/bench/keep_alive_race.py [--announce] [--requests N] [--idle SECONDS]
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from test.support import keep_alive  # noqa: E402
from test.support import proxy as px  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--idle", type=float, default=1.0, help="seconds after which the application closes")
    parser.add_argument("--announce", action="store_true", help="it says so (Keep-Alive: timeout=1)")
    options = parser.parse_args()
    limits = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    upstream = keep_alive.Upstream(options.idle, max(1, int(options.idle)) if options.announce else 0)
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]
    bootstrap = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes))],
                                    [px.static_cluster("app", upstream.port, circuit_breakers={"thresholds": [limits]})])
    outcome = keep_alive.run(px.Proxy, px.REMORA, bootstrap, "in", upstream, options.requests, options.clients, options.idle)
    print(keep_alive.report(outcome))
    clean = outcome["answers"] == {"200": options.requests} and outcome["upstream"]["twice"] == 0
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
