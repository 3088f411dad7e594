"""What a scrape by Prometheus costs."""

import contextlib

from test.support import proxy as px
from tools.bench import contenders, machine, measure


class Scrape:
    """Clusters enough that Envoy shows about 10,000 series; every figure is also given for one series."""

    name, title, peers = "scrape", "Scrape of /stats/prometheus with about 10,000 series", ("envoy",)
    clusters = 57

    def run(self, bench):
        result = measure.Result(self, "us_per_series")
        clusters = [px.static_cluster(f"c{i}", bench.app.http1) for i in range(self.clusters)]
        routes = [{"match": {"prefix": f"/{i}/"}, "route": {"cluster": f"c{i}"}} for i in range(self.clusters)]
        bootstrap = px.static_bootstrap([px.static_listener("in", px.http_filter_chain(routes))], clusters)
        with contextlib.ExitStack() as stack:
            proxies = {name: contenders.start_proxy(stack, name, bootstrap) for name in bench.contenders(self)}
            for _ in range(bench.rounds):
                for name, proxy in proxies.items():
                    self._scrape(result, name, proxy)
            for name, proxy in proxies.items():
                found = machine.memory_kib([proxy.process.pid])
                result.put(name, rss_mib=found["rss"] / 1024, pss_mib=found["pss"] / 1024)
        return result

    def _scrape(self, result, name, proxy, times=10):
        pids = [proxy.process.pid]
        before = machine.cpu_ns(pids)
        for _ in range(times):
            status, text = proxy.admin("/stats/prometheus")
            if status != 200:
                raise AssertionError(f"{name} answers {status}")
        spent = (machine.cpu_ns(pids) - before) / times
        series = sum(1 for line in text.splitlines() if line and not line.startswith("#"))
        result.add(name, scrape_ms=spent / 1e6, us_per_series=spent / 1000 / series)
        result.put(name, series=series)


CASES = [Scrape()]
