"""wrk: load that goes on while things happen, and latency."""

import json
import pathlib
import signal

from lib.processes import DemoError, Process, wait_until

# wrk calls these; times are in microseconds. `delay` is how long a connection waits between
# requests, in milliseconds.
REPORT = """\
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nREPORT {"requests": %d, "seconds": %f, "failed": %d, ' ..
    '"p50": %f, "p99": %f}\\n', summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
PACED = "function delay() return 5 end\n"
FOR_EVER = "3600s"
REQUESTS_TO_BE_SURE = 300  # that have to pass before something is taken for settled


class Load:
    """Requests to one URL from one namespace, until told to stop or for a while."""

    def __init__(self, namespace, url, folder, name, connections, paced, duration=FOR_EVER):
        script = folder / f"{name}.lua"
        script.write_text((PACED if paced else "") + REPORT)
        self._log = pathlib.Path(folder, f"{name}.log")
        self._log.unlink(missing_ok=True)
        self._process = Process(name, namespace.command(
            "wrk", "-t1", f"-c{connections}", f"-d{duration}", "--timeout", "5s", "-s", script,
            url), self._log)

    def check_alive(self):
        self._process.check_alive()

    def finish(self):
        """Waits for the end and returns the report."""
        self._process.wait()
        return self._report()

    def stop(self):
        """Ends the load now and returns the report."""
        self._process.stop(signal.SIGINT)
        return self._report()

    def _report(self):
        for line in self._log.read_text().splitlines():
            if line.startswith("REPORT "):
                return json.loads(line[len("REPORT "):])
        raise DemoError(f"wrk gave no report:\n{self._process.log_tail()}")


def wait_for_traffic(demo, load, requests=REQUESTS_TO_BE_SURE):
    """Until that many more requests have passed the client's sidecar."""
    client = demo.pod("client")
    target = client.requests_out("web") + requests

    def passed():
        load.check_alive()
        return client.requests_out("web") >= target
    wait_until(passed, f"{requests} more requests pass")


def promise_no_failures(demo, load, what):
    outcome = load.stop()
    demo.report.promise(f"no request fails while {what}",
                        outcome["failed"] == 0 and outcome["requests"] > 0,
                        f"{outcome['failed']} of {outcome['requests']}")
