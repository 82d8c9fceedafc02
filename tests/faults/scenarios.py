"""Commands whose calls to the system fail, and what must hold afterwards; see inject.py."""

import json
from abc import ABC, abstractmethod
from unittest import mock

import numpy as np
from helpers import command, runs
from PIL import Image

from mnistgpu import data
from mnistgpu.engine import stepping
from mnistgpu.models import committee, model
from mnistgpu.reports import submission
from mnistgpu.runs import checkpoint, run_directory
from mnistgpu.web import keep

SMALL = ("--layers", "784-4-10", "--batch-size", "100", "--validation", "100", "--iterations", "6")
TIMES = (
    "seconds",
    "images_per_second",
    "data",
)  # what two runs of the same settings need not share


def run_here(folder, *arguments):
    """Exit status and error output of a command in the folder."""
    done = command.run_here(*arguments, cwd=folder)
    return done.returncode, done.stderr


def train(folder, *arguments):
    done = command.run_here("train", "--data", "set", *SMALL, *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr


def whole(path):
    """Every file of a run directory that is there can be read."""
    readers = {
        "settings.json": run_directory.read_record,
        checkpoint.FILE: lambda file: checkpoint.load(file.parent),
        model.FILE: model.load,
        "history.csv": run_directory.read_history,
        "results.json": run_directory.read_results,
        "report.png": lambda file: Image.open(file).load(),
    }
    for name, read in readers.items():
        if (path / name).exists():
            read(path / name)


def content(path):
    """What a finished run is, without what depends on the clock: (model, history, results)."""
    history = run_directory.read_history(path / "history.csv")
    results = json.loads((path / "results.json").read_text())
    return (
        (path / model.FILE).read_bytes(),
        {name: column for name, column in history.items() if name not in TIMES},
        {name: value for name, value in results.items() if not name.startswith(TIMES)},
    )


def strangers(folder):
    """The files in a folder that have no name of a run's files, without its lock."""
    known = {*run_directory.FILES, ".lock"}
    return sorted(path.name for path in folder.iterdir() if path.name not in known)


class Scenario(ABC):
    """A command, and what is true after it whatever has failed.

    `survives(folder)`, where there is one, says what is true after a power cut.
    """

    def __init__(self, name):
        self.name = name

    def prepare(self, folder):
        """Make the files that the command finds."""
        (folder / "set").mkdir()
        runs.write_small_set(folder / "set")

    @abstractmethod
    def act(self, folder):
        """Run the command; returns its exit status and its error output."""

    def remember(self, folder):
        """Keep what the command leaves when nothing fails."""
        self.new = content(folder / "run")

    @abstractmethod
    def check(self, folder, status):
        """AssertionError if a promise is broken after a call has failed."""


class Train(Scenario):
    """A run that saves after every step: files are whole, and it ends with the bits it should."""

    more = ()

    def act(self, folder):
        return run_here(
            folder, "train", "--data", "set", *SMALL, *self.more, "--checkpoint-every", "0s",
            "--out", "run",
        )  # fmt: skip

    def check(self, folder, status):
        run = folder / "run"
        whole_or_missing(run)
        if status == 0 or (run / "results.json").exists():
            assert content(run) == self.new
        self.goes_on(folder)

    def survives(self, folder):
        run = folder / "run"
        whole_or_missing(run)
        if (run / "results.json").exists():
            assert content(run) == self.new

    def goes_on(self, folder):
        """Without faults the run is finished now, by --resume where a checkpoint says how."""
        run = folder / "run"
        if (run / checkpoint.FILE).exists():
            status, errors = run_here(folder, "train", "--resume", "run")
        else:
            status, errors = self.act(folder)
        assert status == 0, errors
        assert content(run) == self.new
        whole(run)
        assert strangers(run) == []


def whole_or_missing(path):
    if path.exists():
        whole(path)


class Processes(Train):
    """The same, whose steps two processes share."""

    more = ("--layers", "784-64-10")

    def act(self, folder):
        with mock.patch.object(stepping, "number_of_processes", return_value=2):
            return super().act(folder)

    def goes_on(self, folder):
        with mock.patch.object(stepping, "number_of_processes", return_value=2):
            super().goes_on(folder)


class Resume(Train):
    """A run that was stopped after its third step."""

    def prepare(self, folder):
        super().prepare(folder)
        train(folder, "--iterations", "3", "--checkpoint-every", "0s", "--out", "run")
        for name in ("results.json", "report.png", model.FILE, "history.csv"):
            (folder / "run" / name).unlink()

    def act(self, folder):
        return run_here(
            folder, "train", "--resume", "run", "--iterations", "6", "--checkpoint-every", "0s"
        )

    def check(self, folder, status):
        assert (folder / "run" / checkpoint.FILE).exists()
        super().check(folder, status)

    def survives(self, folder):
        assert (folder / "run" / checkpoint.FILE).exists()
        super().survives(folder)

    def goes_on(self, folder):
        status, errors = self.act(folder)
        assert status == 0, errors
        assert content(folder / "run") == self.new
        assert strangers(folder / "run") == []


class Force(Train):
    """A new run over a finished one: all files are the old ones until the new run is finished."""

    def prepare(self, folder):
        super().prepare(folder)
        train(folder, "--seed", "1", "--out", "run")
        self.old = {p.name: p.read_bytes() for p in (folder / "run").iterdir()}

    more = ("--force",)

    def check(self, folder, status):
        run = folder / "run"
        self.survives(folder)
        if status == 0:
            assert content(run) == self.new
        status, errors = self.act(folder)
        assert status == 0, errors
        assert content(run) == self.new
        assert strangers(run) == []

    def survives(self, folder):
        run = folder / "run"
        whole(run)
        now = {p.name: p.read_bytes() for p in run.iterdir() if p.name in self.old}
        if (run / "results.json").exists():  # files of one run, never of two
            of_old = all(now.get(n) == self.old[n] for n in self.old if n != checkpoint.FILE)
            assert of_old or content(run) == self.new


class Committee(Scenario):
    """A committee over an older one: the old one or the new one, never parts of both."""

    def prepare(self, folder):
        super().prepare(folder)
        for seed in ("1", "2", "3"):
            train(folder, "--seed", seed, "--out", f"run{seed}", "--checkpoint-every", "never")
        done = command.run_here(
            "committee", "run1", "run2", "--data", "set", "--out", "both", cwd=folder
        )
        assert done.returncode == 0, done.stderr
        self.old = answers(folder / "both")

    def act(self, folder):
        return run_here(
            folder, "committee", "run2", "run3", "--data", "set", "--out", "both", "--force"
        )

    def remember(self, folder):
        self.new = answers(folder / "both")
        assert self.new != self.old

    def survives(self, folder):
        assert answers(folder / "both") in (self.old, self.new)

    def check(self, folder, status):
        self.survives(folder)
        assert answers(folder / "both") == self.new or status != 0
        status, errors = self.act(folder)
        assert status == 0, errors
        assert answers(folder / "both") == self.new
        assert sorted(p.suffix for p in (folder / "both").iterdir()) == [
            ".json", ".safetensors", ".safetensors",
        ]  # fmt: skip


def answers(path):
    members = committee.load(path).members
    return [member.theta.tobytes() for member in members]


class Submit(Scenario):
    """A submission over an older one."""

    def prepare(self, folder):
        super().prepare(folder)
        for seed in ("1", "2"):
            train(folder, "--seed", seed, "--out", f"run{seed}", "--checkpoint-every", "never")
        images = data.load(folder / "set").test.images
        rows = [",".join(f"pixel{i}" for i in range(784))]
        rows += [",".join(map(str, row)) for row in images[:50].tolist()]
        (folder / "test.csv").write_text("\n".join(rows) + "\n")
        status, errors = run_here(folder, "submit", "run1", "test.csv", "--out", "answers.csv")
        assert status == 0, errors
        self.old = (folder / "answers.csv").read_bytes()

    def act(self, folder):
        return run_here(folder, "submit", "run2", "test.csv", "--out", "answers.csv", "--force")

    def remember(self, folder):
        self.new = (folder / "answers.csv").read_bytes()
        assert self.new != self.old

    def survives(self, folder):
        assert (folder / "answers.csv").read_bytes() in (self.old, self.new)
        submission.read(folder / "answers.csv")

    def check(self, folder, status):
        self.survives(folder)
        assert (folder / "answers.csv").read_bytes() == self.new or status != 0
        status, errors = self.act(folder)
        assert status == 0, errors
        assert (folder / "answers.csv").read_bytes() == self.new


class Keep(Scenario):
    """One more drawing into a table that has two."""

    def prepare(self, folder):
        kept = keep.Kept(folder / "kept", (28, 28))
        for digit in (3, 4):
            kept.add(np.full(784, 40 * digit, dtype=np.uint8), digit)

    def act(self, folder):
        from mnistgpu.errors import MnistGpuError

        try:
            keep.Kept(folder / "kept", (28, 28)).add(np.full(784, 7, dtype=np.uint8), 5)
        except MnistGpuError as error:
            return error.exit_status, f"error: {error}"
        return 0, ""

    def remember(self, folder):
        self.new = data.load_digits(folder / "kept" / "train.csv").labels.tolist()
        assert self.new == [3, 4, 5]

    def survives(self, folder):
        return self.check(folder, 1)

    def check(self, folder, status):
        found = data.load_digits(folder / "kept" / "train.csv").labels.tolist()
        assert found == self.new or (found == self.new[:2] and status != 0)


class Report(Scenario):
    """The report drawn again."""

    def prepare(self, folder):
        super().prepare(folder)
        train(folder, "--out", "run")

    def act(self, folder):
        return run_here(folder, "plot", "run", "--data", "set")

    def check(self, folder, status):
        whole(folder / "run")
        assert content(folder / "run") == self.new
        assert (folder / "run" / "report.png").exists()


class Careless(Keep):
    """A table that is overwritten where it lies: the tests of inject.py must notice that."""

    def act(self, folder):
        path = folder / "kept" / "train.csv"
        try:
            content = path.read_bytes()
            path.write_bytes(content + b"5," + b",".join([b"7"] * 784) + b"\n")
        except OSError as error:
            return 1, f"error: {error}"
        return 0, ""


SCENARIOS = {
    each.name: each
    for each in (
        Train("train"),
        Processes("processes"),
        Resume("resume"),
        Force("force"),
        Committee("committee"),
        Submit("submit"),
        Keep("keep"),
        Report("report"),
    )
}
CARELESS = Careless("careless")
