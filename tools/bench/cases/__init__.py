"""All cases, in the order of the table."""

from tools.bench.cases import filters, handshakes, http1, http2, idle, pair, scrape, start, tcp, xds

CASES = [*http1.CASES, *http1.WORKERS, *filters.CASES, *http2.CASES, *tcp.CASES, *pair.CASES, *handshakes.CASES, *start.CASES,
         *idle.CASES, *scrape.CASES, *xds.CASES]
