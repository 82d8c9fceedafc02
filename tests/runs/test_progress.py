"""The bar in terminals of four widths, and the log file."""

import os
import re
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from helpers import runs
from helpers.resuming import SMALL
from helpers.terminal import frames

from mnistgpu.backend import NUMPY
from mnistgpu.data import Dataset
from mnistgpu.errors import RunError
from mnistgpu.runs.notebook import CellBar
from mnistgpu.runs.progress import (
    BAR_WIDTH,
    REFRESH_SECONDS,
    Bar,
    Display,
    Guarded,
    Lines,
    Log,
    Several,
    Warnings,
    conclusion,
    fitted,
    introduction,
)
from mnistgpu.runs.stop import Stop

BAR = "━" * BAR_WIDTH
SNAPSHOTS = {  # figures as zeros, since they differ from machine to machine
    120: f"{BAR} 60/60 loss 0.0000  train 0.0000  validation 0.0000  0 images/s 0:00:00",
    80: f"{BAR} 60/60 loss 0.0000  train 0.0000 0:00:00",
    60: f"{BAR} 60/60 loss 0.0000 0:00:00",
    40: f"{BAR[:14]} 60/60 loss 0.0000 0:00:00",
}


def as_zeros(line):
    """The line with a 0 for each digit of a figure that differs from machine to machine."""
    line = re.sub(r"[\d,]+(?= images/s)", "0", line)
    return re.sub(r"\d\.\d{4}", "0.0000", line)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
@pytest.mark.parametrize("columns", SNAPSHOTS)
def test_the_bar_takes_one_line_of_any_terminal(small_set, tmp_path, columns):
    shown = frames(
        columns,
        *("mnistgpu.train", "--data", small_set, "--validation", 100, "--iterations", 60),
        *("--out", tmp_path / "run"),
    )
    bars = [line for line in shown if "/60" in line]
    assert len(bars) >= 2  # the first frame and the last
    assert all(len(line) <= columns for line in bars)
    assert as_zeros(bars[-1]) == SNAPSHOTS[columns]
    assert shown[-2].strip() == f"saved in  {tmp_path / 'run'}"


@pytest.mark.parametrize(
    ("display", "shows"),
    [(Display, False), (Warnings, False), (Lines, False), (Bar, True), (CellBar, True)],
)
def test_bars_of_what_comes_before_a_run_are_for_those_who_see_its_own(tmp_path, display, shows):
    """Reading the data, for example; several displays show them if one does."""
    assert display().shows_bars == shows
    assert Several(display(), Log(tmp_path / "a.log")).shows_bars == shows


def test_the_first_lines_say_what_is_trained_and_on_what(dataset):
    first, *_, network, training = introduction(SMALL, dataset, NUMPY)
    assert first.startswith("mnistgpu  ")
    assert network == "network   784-12-10, 9,550 parameters"
    assert training == "training  gradient-descent, alpha 0.1, batches of 100, 3 epochs, seed 0"
    chosen = introduction(SMALL, dataset, replace(NUMPY, chosen_because="as there is no GPU"))
    assert chosen[1] == "as there is no GPU"
    assert chosen[2].startswith("backend   numpy on ")
    others = Dataset(dataset.train, None, "others", validation=dataset.test)
    changes = {"iterations": 60, "batch_size": None, "validation": 0, "schedule": "cosine"}
    whole = introduction(SMALL.changed(**changes), others, NUMPY)
    assert (
        whole[-1]
        == "training  gradient-descent, alpha 0.1 cosine, full batch, 60 iterations, seed 0"
    )
    for lines, said in (
        (
            introduction(SMALL, dataset, NUMPY),
            "the first digits: 800 training, 100 validation, 300",
        ),
        (whole, "others: 900 training, 300 validation, no"),
    ):
        (line,) = [line for line in lines if line.startswith("data ")]
        assert line.startswith(f"data      {said} test images; digest ")


def test_the_last_lines_say_how_good_it_became_and_where_it_is(tmp_path):
    results = {"train_accuracy": 0.98765, "validation_accuracy": None, "test_accuracy": 0.5}
    results |= {"seconds": 12.34, "images_per_second": 98765.4}
    lines = [
        "accuracy  train 0.9877, validation -, test 0.5000",
        "time      12.3 s, 98,765 images/s",
    ]
    assert conclusion(SimpleNamespace(results=results), None) == lines
    exact = SimpleNamespace(results=results | {"digest": "ab"})
    assert conclusion(exact, tmp_path) == [*lines, "digest    ab", f"saved in  {tmp_path}"]


CALLS = {"begin": 3, "step": 2, "row": 2, "changed": 2, "warning": 1, "note": 1, "__exit__": 3}


class Told(Display):
    """Keeps what it is told."""

    def __init__(self):
        self.calls = []


for name in CALLS:
    setattr(Told, name, lambda self, *given, name=name: self.calls.append((name, given)))


@pytest.mark.parametrize("name", CALLS)
def test_each_of_several_displays_is_told_everything(name):
    first, second, given = Told(), Told(), tuple(range(CALLS[name]))
    getattr(Guarded(Several(first, second), Stop()), name)(*given)
    assert first.calls == second.calls == [(name, given)]


PARTS = ["loss 0.1234", "train 0.9000", "validation 0.9000", "1,000 images/s"]


@pytest.mark.parametrize(
    ("room", "width", "figures"),
    [
        (84, 24, "loss 0.1234  train 0.9000  validation 0.9000  1,000 images/s"),
        (83, 24, "loss 0.1234  train 0.9000  validation 0.9000"),
        (68, 24, "loss 0.1234  train 0.9000  validation 0.9000"),
        (67, 24, "loss 0.1234  train 0.9000"),
        (48, 24, "loss 0.1234"),
        (35, 24, "loss 0.1234"),
        (34, 23, "loss 0.1234"),
        (11, 0, "loss 0.1234"),
        (-3, 0, "loss 0.1234"),
    ],
)
def test_what_is_least_is_dropped_first(room, width, figures):
    assert fitted(room, PARTS) == (width, figures)


def test_the_rate_is_that_since_this_process_began(monkeypatch):
    """Of a resumed run, the images of earlier processes do not count."""
    clock, trainer = [1000.0], SimpleNamespace(steps=60, taken=20)
    progress = SimpleNamespace(images_seen=5000)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    with Bar() as bar:
        bar.begin(trainer, progress, Stop())
        (task,) = bar._progress.tasks
        assert (task.completed, task.total) == (20, 60)
        for seconds, images, done, shown in (
            (0.9 * REFRESH_SECONDS, 5500, 21, ""),  # it was drawn just now
            (0.5, 5500, 22, "1,000 images/s"),  # soon enough to be seen moving
            (4.0, 9000, 30, "1,000 images/s"),
            (4.0 + 0.9 * REFRESH_SECONDS, 99000, 40, "1,000 images/s"),  # it is not drawn so often
            (10.0, 25000, 50, "2,000 images/s"),
        ):
            clock[0], progress.images_seen, trainer.taken = 1000.0 + seconds, images, done
            bar.step(trainer, progress)
            assert task.fields["figures"] == shown
        assert task.completed == 50


def test_a_log_holds_the_lines_and_the_output_stays_as_it_is(small_set, tmp_path):
    log = tmp_path / "run.log"
    options = ("--data", small_set, "--validation", 100, "--iterations", 5)
    done = runs.run_here(*options, "--out", tmp_path / "a", "--log", log)
    assert (done.returncode, done.stderr) == (0, "")
    assert log.read_text() == done.stdout
    assert done.stdout.count("iteration ") == 5
    quiet = runs.run_here(*options, "--out", tmp_path / "b", "--log", log, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    lines, before = log.read_text().splitlines(), done.stdout.splitlines()
    assert lines[: len(before)] == before  # appended
    assert lines[-1] == f"saved in  {tmp_path / 'b'}"
    resumed = runs.run_here("--resume", tmp_path / "a", "--log", log)
    assert log.read_text().endswith(resumed.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")
def test_the_log_of_a_run_on_a_terminal_has_plain_lines(small_set, tmp_path):
    log = tmp_path / "run.log"
    shown = frames(
        80,
        *("mnistgpu.train", "--data", small_set, "--validation", 100, "--iterations", 60),
        *("--out", tmp_path / "run", "--log", log),
    )
    assert any("60/60" in line for line in shown)
    lines = log.read_text().splitlines()
    assert lines[0].startswith("mnistgpu ")
    assert sum(line.startswith("iteration ") for line in lines) == 60
    assert "\x1b" not in log.read_text()
    assert lines[-1] == f"saved in  {tmp_path / 'run'}"


def test_the_log_says_how_a_run_ended_early(small_set, tmp_path):
    log = tmp_path / "run.log"
    done = runs.run_here(
        *("--data", small_set, "--validation", 100, "--alpha", "1e30", "--out", tmp_path / "run"),
        *("--log", log),
    )
    assert done.returncode == 1
    assert "training diverged" in done.stderr
    assert "training diverged" in log.read_text().splitlines()[-1]


def test_names_that_are_no_text_are_escaped_in_a_log(tmp_path):
    log = Log(tmp_path / "é.log")
    log.note("from \udcff to \x1b[2J")
    assert (tmp_path / "é.log").read_bytes() == b"from \\udcff to \\x1b[2J\n"


@pytest.mark.parametrize("name", ["no/such/folder/run.log", "folder"])
def test_a_log_that_cannot_be_written_is_refused_before_the_run(small_set, tmp_path, name):
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    done = runs.run_here("--data", small_set, "--out", tmp_path / "run", "--log", path)
    assert done.returncode == 1
    assert runs.one_sentence(done.stderr).startswith(f"error: --log {path}: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_no_log(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="pipe: cannot be written; name another file"):
        Log(tmp_path / "pipe")


def test_a_log_that_can_no_longer_be_written_stops_the_run_and_saves_it(small_set, tmp_path):
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "run.log"
    path = tmp_path / "run"
    process = runs.begun(
        *(path, "--data", small_set, "--validation", 100, "--batch-size", 20),
        *("--iterations", runs.LONG, "--log", log),
    )
    log.parent.rename(tmp_path / "moved")
    status, errors = runs.ended(process)
    assert status == 1
    assert f"{log}: No such file or directory" in runs.one_sentence(errors)
    assert f"go on with: mnistgpu train --resume {path}" in errors
