"""The demonstration mesh, unattended: it must show everything that it promises."""

import os
import subprocess

import pytest

from test.support.proxy import ROOT


@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_the_demo_keeps_its_promises():
    run = subprocess.run([os.path.join(ROOT, "tools", "demo", "run.sh"), "--check"], capture_output=True, text=True,
                         timeout=600)
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-3000:]
