"""`mnistgpu lab` as a command: ready soon, saved at its end, refused with a sentence."""

import signal
import socket
import sys
import time
import urllib.request

import pytest
from helpers import lab as labs
from helpers import processes, runs
from helpers.command import run_here
from helpers.mnist import ROOT
from helpers.web import ask

from mnistgpu.runs import checkpoint

pytest.importorskip("mnistgpu.web.lab", reason="starlette is missing")
SMALL = ("--layers", "784-8-10", "--batch-size", "100", "--validation", "100", "--epochs", "50")


def begun(folder, *arguments):
    """The lab as a process in a folder, and its place."""
    command = [sys.executable, "-m", "mnistgpu.cli", "lab", "--port", "0", "--no-browser"]
    process = processes.start([*command, *map(str, arguments)], env=runs.environment(), cwd=folder)
    line = process.stdout.readline()
    assert line.startswith("lab at http://127.0.0.1:"), line + process.stderr.read()
    address = line.split()[2]
    return process, labs.Lab(Page(address), None)


class Page:
    """As much of a page as `Lab` needs of one in another process."""

    def __init__(self, address):
        self.place = self.bound = self
        self.address = address

    def getsockname(self):
        return "127.0.0.1", int(self.address.rstrip("/").rsplit(":", 1)[1])


@pytest.mark.slow
def test_a_run_from_its_beginning_to_ctrl_c_and_on(small_set, tmp_path):
    process, lab = begun(tmp_path, "--data", small_set, *SMALL)
    assert urllib.request.urlopen(lab.address, timeout=10).status == 200
    assert lab.state()["step"] == 0  # the page answers before the run has begun
    lab.do("change", name="learning_rate", value=0.125)
    lab.do("epoch")
    found = lab.reach(8)
    folder = tmp_path / found["path"]
    lab.do("again", other_seed=True)
    labs.until(lab.state, lambda state: state["step"] == 0)
    lab.do("step")
    second = tmp_path / lab.reach(1)["path"]
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert str(lab_path(second)) in output
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == sorted(
        [folder.name, second.name]
    )
    saved = checkpoint.load(folder)
    assert (saved.taken, len(saved.progress.events.all)) == (8, 1)
    again, other = begun(tmp_path, "--data", small_set, "--run", folder, "--out", "third")
    state = other.state()
    assert (state["step"], state["settings"]["learning_rate"]) == (8, 0.125)
    other.do("step")
    other.reach(9)
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert checkpoint.load(tmp_path / "third").taken == 9
    assert checkpoint.load(folder).taken == 8  # the run itself stays


def lab_path(path):
    return f"runs/{path.name}"


@pytest.mark.timing
@pytest.mark.slow
def test_it_is_ready_within_three_seconds(tmp_path):
    seconds = []
    for _ in range(3):  # the machine may have other work for a while
        begun_at = time.monotonic()
        process, lab = begun(tmp_path)
        lab.state()
        seconds.append(time.monotonic() - begun_at)
        process.kill()
        process.communicate()
    assert min(seconds) < 3.0, seconds


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("--language", "xx"), 2, "--language xx: the page has no words in it; choose one of"),
        (("--port", "99999"), 2, "no page can be served there"),
        (("--layers", "784-x"), 2, "--layers must be"),
        (("--run", "nowhere"), 1, "nowhere"),
        (("--run", "x", "--recipe", "fast"), 2, "recipe cannot be given with --run x"),
        (("--run", "x", "--alpha", "1"), 2, "learning_rate cannot be given with --run x"),
        (("--experiments", "nowhere"), 1, "nowhere: no such folder"),
        (("--check", "nowhere.toml"), 1, "nowhere.toml"),
        (("--allow-host", "http://x"), 2, "not the name of a host"),
    ],
)
def test_wrong_calls_end_with_a_sentence(tmp_path, arguments, status, sentence):
    done = run_here("lab", "--no-browser", *arguments, cwd=tmp_path)
    assert (done.returncode, sentence in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_here("lab", "--no-browser", "--port", str(port), cwd=tmp_path)
    assert done.returncode == 2
    assert f"--port {port}: no page can be served there" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_experiment_of_one_s_own_is_checked_and_shown(small_set, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    example = ROOT / "examples" / "13-another-seed.toml"
    (own / "13-another-seed.toml").write_text(example.read_text())
    (own / "14-broken.toml").write_text("title = 3\n")
    done = run_here("lab", "--check", own / "13-another-seed.toml")
    assert (done.returncode, "every claim holds" in done.stdout) == (0, True), done.stderr
    process, lab = begun(tmp_path, "--data", small_set, *SMALL, "--experiments", own)
    about = lab.get("about")
    assert about["experiments"][-1]["name"] == "another-seed"
    (problem,) = about["experiments_left_out"]
    assert "14-broken.toml" in problem
    assert ask(lab.place, "GET", "/")[0] == 200
    process.kill()
    process.communicate()
