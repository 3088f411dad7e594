"""Tests in here make network namespaces: without root they are skipped."""

import os

import pytest


def pytest_collection_modifyitems(items):
    if os.geteuid() == 0:
        return
    for item in items:
        item.add_marker(pytest.mark.skip(reason="needs root"))
