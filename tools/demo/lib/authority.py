"""The certificate authority of tools/ca, as the demonstration uses it."""

import pathlib
import sys

from lib.processes import run

CA = pathlib.Path(__file__).resolve().parents[2] / "ca/ca.py"


def spiffe_id(account):
    namespace, name = account.split("/")
    return f"spiffe://cluster.local/ns/{namespace}/sa/{name}"


def serial_number(certificate):
    """Of the first certificate in a file."""
    return int(run("openssl", "x509", "-in", certificate, "-noout", "-serial").partition("=")[2], 16)


class Authority:
    def __init__(self, folder):
        self._folder = folder
        self._run("init")

    def issue(self, account, folder, owner):
        self._run("issue", account, folder, "--owner", owner)

    def rotate(self):
        """New certificates for every pod."""
        self._run("rotate")

    def root(self, step):
        """`add`, `use` or `retire`."""
        self._run("root", step)

    def _run(self, *words):
        run(sys.executable, "-B", CA, "--ca", self._folder, *words)
