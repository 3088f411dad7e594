"""Child processes, and waiting for things to become true. Every child is stopped by its own pid."""

import signal
import subprocess
import time

POLL_SECONDS = 0.01


class DemoError(Exception):
    """Something that the demonstration promises is not so."""


def wait_until(condition, what, timeout=30.0):
    """Polls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise DemoError(f"not within {timeout:g} s: {what}")
        time.sleep(POLL_SECONDS)


def run(*command, text_in=None, check=True):
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run([str(part) for part in command], input=text_in, capture_output=True,
                          text=True)
    if check and done.returncode != 0:
        raise DemoError(f"{' '.join(map(str, command))}: exit {done.returncode}\n"
                        f"{done.stdout}{done.stderr}")
    return done.stdout


class Process:
    """One long-running child; its output goes to a file."""

    def __init__(self, name, command, log):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            self._child = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def pid(self):
        return self._child.pid

    def check_alive(self):
        if self._child.poll() is not None:
            raise DemoError(f"{self.name} ended with {self._child.returncode}:\n{self.log_tail()}")

    def log_tail(self, lines=15):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def wait(self):
        self._child.wait()

    def kill_hard(self):
        self._child.kill()
        self._child.wait()

    def stop(self, stop_signal=signal.SIGTERM, patience=5.0):
        if self._child.poll() is None:
            self._child.send_signal(stop_signal)
            try:
                self._child.wait(patience)
            except subprocess.TimeoutExpired:
                self.kill_hard()
        return self._child.returncode
