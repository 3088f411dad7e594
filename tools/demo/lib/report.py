"""What the demonstration says: words, promises with what was measured, tables at the end."""

import sys
import textwrap

WIDTH = 96


class Report:
    """`quiet`: only promises and tables, for unattended runs."""

    def __init__(self, quiet):
        self._quiet = quiet
        self._promises = []
        self._latency = []

    def title(self, text):
        self._print(f"\n=== {text}")

    def say(self, text):
        if not self._quiet:
            self._print(textwrap.fill(" ".join(text.split()), WIDTH))

    def show(self, text):
        """Output of a command, or a drawing, as it is."""
        if not self._quiet:
            self._print(textwrap.indent(text.rstrip(), "    "))

    def promise(self, text, kept, measured=""):
        self._promises.append((text, bool(kept), str(measured)))
        mark = "ok    " if kept else "BROKEN"
        self._print(f"  {mark} {text}" + (f": {measured}" if measured != "" else ""))

    def latency_row(self, way, single, many):
        self._latency.append((way, single, many))

    @property
    def broken(self):
        return [promise for promise in self._promises if not promise[1]]

    def tables(self):
        self._print("\n=== What was promised")
        self._table(("promise", "kept", "measured"),
                    [(text, "yes" if kept else "NO", measured)
                     for text, kept, measured in self._promises])
        if self._latency:
            self._print("\n=== Latency, client on host1 to server on host2")
            self._table(
                ("way", "p50 ms", "p99 ms", "requests/s", "p99 ms at 16", "requests/s at 16"),
                [(way, f"{single['p50']:.3f}", f"{single['p99']:.3f}", rate(single),
                  f"{many['p99']:.3f}", rate(many)) for way, single, many in self._latency])

    def _table(self, head, rows):
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        line = "  ".join("{:<%d}" % width for width in widths)
        self._print(line.format(*head).rstrip())
        self._print("  ".join("-" * width for width in widths))
        for row in rows:
            self._print(line.format(*row).rstrip())

    @staticmethod
    def _print(text):
        print(text)
        sys.stdout.flush()


def rate(report):
    return f"{report['requests'] / report['seconds']:.0f}"
