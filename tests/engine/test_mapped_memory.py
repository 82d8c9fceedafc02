"""Sets that are larger than the memory which a process may have: trained all the same."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import processes
from helpers.made_sets import in_memory, make_plain
from helpers.mpi import command, environment, needs_mpi

from mnistgpu import data

resource = pytest.importorskip("resource")

COUNT = 800_000  # images, of 627 MB
MEGABYTES = 500
HOW = ("--layers", "784-32-10", "--batch-size", "500", "--alpha", "0.1", "--epochs", "1")
GROUPS = Path("/sys/fs/cgroup/memory")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_plain(tmp_path_factory.mktemp("large") / "set", COUNT)


@pytest.fixture(scope="module")
def limit_of_arrays():
    """No process has more memory of its own (RLIMIT_DATA); the system's cache is not counted."""

    def preparation():
        resource.setrlimit(resource.RLIMIT_DATA, (MEGABYTES * 10**6, MEGABYTES * 10**6))

    return preparation


@pytest.fixture
def group():
    """A control group that has so much memory for all, the system's cache of its files included."""
    path = GROUPS / f"mnistgpu-{os.getpid()}"
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(MEGABYTES * 10**6))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        pytest.skip(f"no control group of memory can be made here ({error})")
    yield path
    end = time.monotonic() + 10
    while (path / "cgroup.procs").read_text() and time.monotonic() < end:  # a killed process
        time.sleep(0.1)
    path.rmdir()


def train(words, preparation, out):
    done = processes.run(words, preparation=preparation, env=environment(), timeout=300)
    if done.returncode:
        return done, None
    return done, json.loads((out / "results.json").read_text())


def one(data, out):
    return [sys.executable, "-m", "mnistgpu.train", "--data", data, *HOW, "--out", out]


def test_the_memory_of_a_process_is_limited(folder, limit_of_arrays, tmp_path):
    done, results = train(one(folder, tmp_path / "run"), limit_of_arrays, tmp_path / "run")
    assert results, done.stderr
    assert results["test_accuracy"] > 0.9
    assert "(627 MB) stay in their files" in done.stdout


def test_the_limit_is_one_for_the_same_images_in_memory(folder, limit_of_arrays, tmp_path):
    """So the test above would notice images that are all read."""
    plain = tmp_path / "plain"
    plain.mkdir()
    np.save(plain / "train-images.npy", in_memory(folder))
    np.save(plain / "train-labels.npy", data.load(folder).train.labels)
    done, _ = train(one(plain, tmp_path / "run"), limit_of_arrays, tmp_path / "run")
    assert done.returncode == 1
    assert "memory" in done.stderr


def test_a_group_of_processes_is_limited(folder, group, tmp_path):
    def enter():
        (group / "cgroup.procs").write_text(str(os.getpid()))

    done, results = train(one(folder, tmp_path / "run"), enter, tmp_path / "run")
    assert results, done.stderr
    assert results["test_accuracy"] > 0.9
    most = int((group / "memory.max_usage_in_bytes").read_text())
    assert most <= MEGABYTES * 10**6


@needs_mpi
def test_two_ranks_share_such_a_set(folder, limit_of_arrays, tmp_path):
    """Each within the limit; the result is that of one process, to rounding."""
    how = ("--data", folder, *HOW, "--precision", "exact")
    digests = []
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        words = [*one(folder, out), "--precision", "exact"]
        if ranks == 2:
            words = command(2, *how, "--out", out)
        done, results = train(words, limit_of_arrays, out)
        assert results, done.stderr
        digests.append(results["digest"])
    assert digests[0] == digests[1]
