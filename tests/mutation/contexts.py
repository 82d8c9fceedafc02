"""A plugin of pytest under coverage: each line that runs is noted under the test that runs it.

Also in the processes that a test starts and in those that it forks. Beside the data of coverage a
file says how many seconds of processor time each test took, with those of its processes.
"""

import json
import os

import coverage
import pytest


def processor_seconds():
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    measured = coverage.Coverage.current()
    if measured is None:
        return (yield)
    name = item.nodeid.partition("[")[0]  # all cases of a test together
    measured.switch_context(name)
    measured.config.context = name  # of processes that the test forks
    os.environ["COVERAGE_PROCESS_CONFIG"] = measured.config.serialize()  # and of those it starts
    before = processor_seconds()
    try:
        return (yield)
    finally:
        took = round(processor_seconds() - before, 4)
        line = {"test": name, "seconds": took, "slow": bool(item.get_closest_marker("slow"))}
        with open(f"{measured.config.data_file}-times-{os.getpid()}.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
