"""Whatever becomes of a test, the processes that it started end with it."""

import os
import signal
import sys

import pytest
from helpers.mnist import ROOT
from helpers.processes import have_ended, is_running, start
from helpers.runs import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

PLANTED = r"""
import sys
from pathlib import Path
from helpers.processes import start

CHILD = '''
import os, signal, time
os.fork()
heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
os.write(1, f"{os.getpid()} {heard}\\n".encode())  # in one piece
time.sleep(600)
'''

def test_planted():
    process = start([sys.executable, "-c", CHILD])
    found = process.stdout.readline() + process.stdout.readline()
    Path("found.new").write_text(found)
    Path("found.new").rename("found")
    if Path("waits").exists():
        process.wait()
    raise AssertionError
"""
BACKGROUND = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # how a shell starts `command &`


def begun(folder, *shell):
    """pytest with one test, whose process and its child write their numbers down."""
    (folder / "test_planted.py").write_text(PLANTED)
    plugins = ["-p", "helpers.processes", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-q", *plugins, "--rootdir", folder]
    return start([*shell, *command], cwd=folder, env=environment)


def left(folder):
    """The numbers of the processes of the planted test, each of which Ctrl-C would end."""
    found = [line.split() for line in (folder / "found").read_text().splitlines()]
    assert len(found) == 2
    assert all(heard == "True" for _, heard in found)
    return [int(process) for process, _ in found]


@pytest.mark.slow
@pytest.mark.parametrize("shell", [[], BACKGROUND], ids=["terminal", "background"])
def test_a_test_that_fails_leaves_no_process(tmp_path, shell):
    output, _ = begun(tmp_path, *shell).communicate(timeout=60)
    assert "1 failed" in output
    assert have_ended(left(tmp_path), seconds=0.5)


@pytest.mark.slow
def test_a_test_that_is_stopped_leaves_no_process(tmp_path):
    (tmp_path / "waits").touch()
    process = begun(tmp_path)
    wait_for((tmp_path / "found").exists, process)
    assert all(map(is_running, left(tmp_path)))
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in output
    assert have_ended(left(tmp_path), seconds=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_test_that_is_killed_leaves_no_process(tmp_path, number):
    """But for a child of its process, which in this project ends by itself."""
    (tmp_path / "waits").touch()
    process = begun(tmp_path)
    wait_for((tmp_path / "found").exists, process)
    found = left(tmp_path)
    process.send_signal(number)
    process.wait(60)
    ended = [each for each in found if have_ended([each], seconds=1.0)]
    for each in set(found) - set(ended):
        os.kill(each, signal.SIGKILL)
    assert len(ended) == 1
