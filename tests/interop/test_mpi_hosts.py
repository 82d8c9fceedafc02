"""Ranks on two hosts, which are network namespaces of this machine, and one that is cut off."""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import processes
from helpers.mpi import MPIEXEC, SMALL, environment, needs_mpi, wait_for

from mnistgpu.runs import checkpoint

# MPICH sees that both hosts are one kernel, and would copy from process to process there, which
# fails with an error of its own if the other rank has noticed the cut first
APART = {"UCX_TLS": "^cma"}
HOSTS = {"10.77.0.1": "mnistgpu-a", "10.77.0.2": "mnistgpu-b"}
LAUNCHER = """#!/bin/sh
# what mpiexec calls instead of ssh: options, host, command
while [ "${1#-}" != "$1" ]; do shift; done
case $1 in 10.77.0.1) host=mnistgpu-a ;; *) host=mnistgpu-b ;; esac
shift
exec ip netns exec $host sh -c "$*"
"""


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr)


def remove():
    for name in HOSTS.values():
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.fixture
def hosts(tmp_path):
    """Two namespaces with a cable between them, and the beginning of a command that uses them."""
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip of iproute2")
    a, b = HOSTS.values()
    try:
        remove()
        for name in (a, b):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", a, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", b)
        for address, name in HOSTS.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", name, "link", "set", "cable", "up")
    except OSError as error:
        remove()
        pytest.skip(f"no network namespaces can be made here ({str(error).strip()})")
    launcher = tmp_path / "launcher.sh"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    names = ",".join(HOSTS)
    how = ["-launcher", "ssh", "-launcher-exec", launcher, "-hosts", names, "-iface", "cable"]
    yield ["ip", "netns", "exec", a, MPIEXEC, *how]
    remove()


pytestmark = [
    needs_mpi,
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0, reason="makes network namespaces: needs root"
    ),
]


@pytest.fixture(scope="module")
def few(tmp_path_factory, digits):
    images, labels = digits
    path = tmp_path_factory.mktemp("mpi") / "few.npz"
    np.savez(path, x_train=images[:650], y_train=labels[:650])
    return path


def test_two_hosts_share_a_run(hosts, few, tmp_path):
    how = ("--data", few, *SMALL, "--epochs", "3", "--out", tmp_path / "run")
    words = [*hosts, "-n", "4", sys.executable, "-m", "mnistgpu.train", *how]
    done = processes.run(words, env=environment(**APART))
    assert done.returncode == 0, done.stderr
    assert "ranks     4, by the communicator mpi; on 2 machines" in done.stdout
    assert "cannot reach" not in done.stdout


def test_a_host_that_is_cut_off_ends_the_job_on_both(hosts, few, tmp_path):
    out = tmp_path / "run"
    how = ("--data", few, *SMALL, "--epochs", "100000", "--out", out, "--rank-timeout", "3")
    saving = ("--checkpoint-every", "1epochs")
    words = [*hosts, "-n", "2", sys.executable, "-m", "mnistgpu.train", *how, *saving]
    job = processes.start(words, env=environment(**APART))
    wait_for(out / checkpoint.FILE, job)
    every = subprocess.run(
        ["pgrep", "-f", f"mnistgpu.train.*{out}"], capture_output=True, text=True
    ).stdout.split()
    ip("-n", HOSTS["10.77.0.2"], "link", "set", "cable", "down")
    began = time.monotonic()
    _, errors = job.communicate(timeout=40)
    assert time.monotonic() - began < 3 + 10, errors
    assert job.returncode not in (0, None)
    assert "error: rank 1 has given no sign of life for 3 seconds" in errors
    assert checkpoint.load(out).taken > 0
    assert processes.have_ended([int(each) for each in every], 10)
