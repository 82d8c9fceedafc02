"""How the tests are shared among processes, and what a run that leaves out slow tests says.

A plugin of pytest, which `conftest.py` loads.
"""

import os

import pytest

from mnistgpu.storage import system

MOST_WORKERS = 4  # each needs 1 to 2 GB, and trains the networks that its tests share
COUNT = pytest.StashKey[int]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """-n auto: a process for each core that this one may use, also in a container."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist reads it
    return min(MOST_WORKERS, system.cores())


def pytest_configure(config):
    """Several processes share the cores: BLAS's threads in each would wait for one another."""
    workers = getattr(config.option, "numprocesses", None) or 1
    if workers > 1:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, system.cores() // workers)))


def pytest_deselected(items):
    if all(item.get_closest_marker("slow") for item in items):  # by their mark, and by no -k
        stash = items[0].config.stash
        stash[COUNT] = stash.get(COUNT, 0) + len(items)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # a process of xdist tells the first one
        session.config.workeroutput["left_out"] = session.config.stash.get(COUNT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """All processes collect the same tests, so that one's count is that of all."""
    output = getattr(node, "workeroutput", None) or {}
    node.config.stash[COUNT] = max(node.config.stash.get(COUNT, 0), output.get("left_out", 0))


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash.get(COUNT, 0):
        tests = "1 slow test was" if count == 1 else f"{count} slow tests were"
        terminalreporter.write_line(f"{tests} left out; run them with: python -m pytest -m slow")
