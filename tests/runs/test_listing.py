"""`mnistgpu runs` and `list_runs`: finished, stopped and damaged runs, in their order."""

import json
import os
import shutil

import numpy as np
import pytest
from helpers import runs
from helpers.command import run_here as command

import mnistgpu
from mnistgpu.runs import checkpoint, listing

PLAIN = {"layers": "784-8-10", "init": "he", "batch_size": 90, "epochs": 3, "validation": 100}


class StopAfter(mnistgpu.Callback):
    """Interrupts a run after some steps."""

    def __init__(self, steps):
        self.steps = steps

    def begin(self, trainer, progress, stop):
        self.stop = stop

    def step(self, trainer, progress):
        if trainer.taken == self.steps:
            self.stop.interrupt("a test")


@pytest.fixture(scope="module")
def folder(small_set, tmp_path_factory):
    """Two finished runs, two stopped ones, three damaged ones, and what is no run."""
    folder = tmp_path_factory.mktemp("folder")
    for alpha in (0.01, 0.2):
        mnistgpu.fit(small_set, out=folder / f"alpha-{alpha}", alpha=alpha, **PLAIN)
    for name, changes in {"stopped": {}, "steps": {"epochs": None, "iterations": 2000}}.items():
        with pytest.raises(mnistgpu.StoppedError):
            mnistgpu.fit(
                small_set,
                out=folder / name,
                alpha=0.01,
                callbacks=[StopAfter(20)],
                **PLAIN | changes,
            )
    begun = folder / "begun"
    begun.mkdir()
    shutil.copy(folder / "steps" / "settings.json", begun)
    for name, (file, content) in DAMAGE.items():
        shutil.copytree(folder / "alpha-0.2", folder / name)
        if file == checkpoint.FILE:
            (folder / name / "results.json").unlink()
        (folder / name / file).write_text(content)
    mnistgpu.committee([folder / "alpha-0.2"] * 2, out=folder / "committee")
    (folder / "notes").mkdir()
    (folder / "a file").write_text("")
    return folder


DAMAGE = {
    "cut": ("results.json", "{"),
    "edited": ("results.json", '{"iterations": 3, "test_accuracy": "high"}'),
    "no steps": ("results.json", "{}"),
    "settings": ("settings.json", "{}"),
    "checkpoint": (checkpoint.FILE, "?"),
}


def test_finished_stopped_and_damaged_runs_in_their_order(folder):
    found = mnistgpu.list_runs(folder)
    names = [each.directory.name for each in found]
    assert names == ["alpha-0.2", "alpha-0.01", "begun", "steps", "stopped", *sorted(DAMAGE)]
    best, _, begun, steps, stopped, *damaged = found
    results = json.loads((folder / "alpha-0.2" / "results.json").read_text())
    assert best.state == "finished"
    assert best.test_accuracy == results["test_accuracy"]
    assert (best.seconds, best.iterations, best.steps) == (results["seconds"], 27, 27)
    assert best.settings == mnistgpu.Settings().changed(alpha=0.2, **PLAIN)
    assert (begun.state, begun.iterations, begun.steps) == ("unfinished", 0, 2000)
    assert (stopped.state, stopped.iterations, stopped.steps) == ("unfinished", 20, 27)
    assert stopped.test_accuracy is None
    assert stopped.seconds > 0
    first, *_, last = checkpoint.load(folder / "stopped").progress.history
    assert stopped.validation_accuracy == last.validation_accuracy != first.validation_accuracy
    assert (steps.iterations, steps.steps) == (20, 2000)
    for each in damaged:
        assert each.state == "damaged"
        assert each.settings is None
        assert each.problem.startswith(str(folder / each.directory.name))


def test_the_table_shows_the_settings_that_differ(folder):
    done = command("runs", folder)
    header, *lines = done.stdout.splitlines()
    assert header.split() == [
        *("run", "iterations", "epochs", "alpha", "validation", "test", "seconds", "state")
    ]
    cells = [line.split(maxsplit=7) for line in lines]
    assert [row[0] for row in cells] == ["alpha-0.2", "alpha-0.01", "begun", "steps", "stopped"]
    assert cells[0][1:4] == ["none", "3", "0.2"]
    states = [row[7] for row in cells]
    assert states[:2] == ["finished", "finished"]
    assert states[2:] == [
        *("after 0 of 2,000 iterations", "after 20 of 2,000 iterations"),
        "after 20 of 27 iterations",
    ]
    assert done.returncode == 1
    errors = done.stderr.splitlines()
    assert len(errors) == len(DAMAGE)
    assert all(line.startswith(f"error: {folder}") for line in errors)
    assert done.stdout.count("\n") == 6


def test_json(folder):
    done = command("runs", folder, "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert len(found) == 5 + len(DAMAGE)
    assert found[0]["settings"]["learning_rate"] == 0.2
    assert found[0]["test_accuracy"] == mnistgpu.list_runs(folder)[0].test_accuracy
    assert found[0]["directory"] == str(folder / "alpha-0.2")
    assert "edited?" in found[-1]["problem"]


def test_runs_on_other_data_have_a_column_that_says_so(arrays_of_digits, tmp_path):
    images, labels = arrays_of_digits
    small = PLAIN | {"validation": 0, "epochs": 1}
    mnistgpu.fit(images[:300], labels[:300], out=tmp_path / "a", **small)
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(
            *(images[:400], labels[:400]), out=tmp_path / "b", callbacks=[StopAfter(2)], **small
        )
    found = listing.list_runs(tmp_path)
    done = command("runs", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = (line.split() for line in done.stdout.splitlines())
    assert header == ["run", "data", "validation", "test", "seconds", "state"]
    assert [line[1] for line in lines] == [each.data_digest[:8] for each in found]
    assert [line[2:4] for line in lines] == [["-", "-"], ["-", "-"]]
    assert found[1].validation_accuracy is None


@pytest.fixture
def arrays_of_digits(digits):
    return np.array(digits[0][:400]), digits[1][:400]


def test_a_folder_without_runs_and_none_at_all(tmp_path):
    done = command("runs", cwd=tmp_path)
    assert done.returncode == 1
    assert "runs: cannot be listed (No such file or directory)" in runs.one_sentence(done.stderr)
    (tmp_path / "runs").mkdir()
    done = command("runs", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    name = os.path.join("runs", "NAME")
    assert done.stdout == f"no runs in runs; `mnistgpu train --out {name}` makes one\n"
    assert command("runs", tmp_path / "runs", "--json").stdout == "[]\n"
    (tmp_path / "file").write_text("")
    done = command("runs", tmp_path / "file")
    assert done.returncode == 1
    assert "file: cannot be listed" in runs.one_sentence(done.stderr)


def test_damaged_runs_alone_make_no_table(folder, tmp_path):
    shutil.copytree(folder / "cut", tmp_path / "cut")
    done = command("runs", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path / 'cut' / 'results.json'}: not valid JSON" in runs.one_sentence(done.stderr)
