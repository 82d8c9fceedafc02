"""`mnistgpu.sweep`: the product of lists of settings, trained, skipped, resumed and refused."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest

import mnistgpu
from mnistgpu.api import sweeping
from mnistgpu.runs import checkpoint, run_directory

SMALL = {"layers": "784-8-10", "init": "he", "batch_size": 100, "epochs": 1}
SIX = {"alpha": [0.05, 0.2], "seed": [0, 1, 2]}
NAMES = [f"alpha-{alpha}_seed-{seed}" for alpha in (0.05, 0.2) for seed in range(3)]


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """An empty report.png instead of one that takes a second to draw."""

    def write(path, *given):
        (path / "report.png").touch()

    monkeypatch.setattr("mnistgpu.reports.run_report.write", write)


@pytest.fixture
def trained(monkeypatch):
    """The directories that are trained or resumed from now on, in their order."""
    calls = []
    for name in ("fit", "resume"):
        own = getattr(sweeping, name)

        def call(*given, own=own, name=name, **options):
            path = options["out"] if name == "fit" else given[0]
            calls.append((name, path.name))
            return own(*given, **options)

        monkeypatch.setattr(sweeping, name, call)
    return calls


def test_every_combination_is_the_run_that_fit_makes(arrays, tmp_path, trained):
    runs = mnistgpu.sweep(*arrays, out=tmp_path / "s", **SIX, **SMALL)
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted(NAMES)
    assert [run.directory.name for run in runs] == NAMES
    assert trained == [("fit", name) for name in NAMES]
    assert [(run.settings.learning_rate, run.settings.seed) for run in runs] == [
        (alpha, seed) for alpha in (0.05, 0.2) for seed in range(3)
    ]
    assert runs[4].model == mnistgpu.fit(*arrays, alpha=0.2, seed=1, **SMALL).model
    assert all(run_directory.is_whole(run.directory) for run in runs)


def test_finished_runs_are_read_and_a_stopped_one_is_resumed(arrays, tmp_path, trained):
    out, stop = tmp_path / "s", mnistgpu.Stop()
    whole = mnistgpu.sweep(*arrays, out=tmp_path / "whole", **SIX, **SMALL)
    trained.clear()

    class StopInThird(sweeping.Display):
        runs = 0

        def begin(self, trainer, progress, stop):
            self.runs += 1

        def step(self, trainer, progress):
            if self.runs == 3 and trainer.taken == 4:
                stop.interrupt("a test", 7)

    with pytest.raises(mnistgpu.StoppedError) as error:
        mnistgpu.sweep(*arrays, out=out, **SIX, **SMALL, stop=stop, progress=StopInThird())
    assert str(error.value) == (
        f"run 3 of 6, {out / NAMES[2]}: stopped by a test after iteration 4 of 9"
    )
    assert error.value.exit_status == 7
    assert checkpoint.load(out / NAMES[2]).taken == 4
    trained.clear()
    again = mnistgpu.sweep(*arrays, out=out, seed=SIX["seed"], lr=SIX["alpha"], **SMALL)
    assert trained == [("resume", NAMES[2]), *(("fit", name) for name in NAMES[3:])]
    assert [run.model for run in again] == [run.model for run in whole]
    trained.clear()
    last = mnistgpu.sweep(*arrays, out=out, **SIX, **SMALL)
    assert trained == []
    assert [run.model for run in last] == [run.model for run in whole]
    assert [run.test_accuracy for run in last] == [run.test_accuracy for run in whole]
    longer = last[0].resume(epochs=2, out=tmp_path / "longer")
    assert longer.results["iterations"] == 18


def test_a_killed_run_without_its_picture_is_finished(arrays, tmp_path, trained):
    runs = mnistgpu.sweep(*arrays, out=tmp_path / "s", seed=[1, 2], **SMALL)
    (runs[0].directory / "report.png").unlink()
    trained.clear()
    mnistgpu.sweep(*arrays, out=tmp_path / "s", seed=[1, 2], **SMALL)
    assert trained == [("resume", "seed-1")]
    assert run_directory.is_whole(runs[0].directory)


def test_a_stop_between_two_runs(arrays, tmp_path):
    stop = mnistgpu.Stop()

    class StopAtTheEnd(sweeping.Display):
        def step(self, trainer, progress):
            if progress.finished:
                stop.interrupt("a test")

    with pytest.raises(mnistgpu.StoppedError, match=r"stopped by a test before run 2 of 2, "):
        mnistgpu.sweep(
            *arrays,
            out=tmp_path / "s",
            seed=[1, 2],
            stop=stop,
            progress=StopAtTheEnd(),
            **SMALL,
        )
    assert run_directory.is_whole(tmp_path / "s" / "seed-1")
    assert not (tmp_path / "s" / "seed-2").exists()


def test_ctrl_c_saves_the_current_run(arrays, tmp_path):
    class Interrupt(sweeping.Display):
        def step(self, trainer, progress):
            if trainer.taken == 3:
                signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match=r"stopped in run 1 of 2, .*seed-1; the same"):
            mnistgpu.sweep(*arrays, out=tmp_path / "s", seed=[1, 2], progress=Interrupt(), **SMALL)
    finally:
        signal.signal(signal.SIGINT, before)
    assert checkpoint.load(tmp_path / "s" / "seed-1").taken == 3


def test_a_run_that_diverges_is_left_out_with_a_warning(arrays, tmp_path):
    with pytest.warns(UserWarning, match=r"alpha-1e\+30: training diverged") as caught:
        runs = mnistgpu.sweep(*arrays, out=tmp_path / "s", alpha=[1e30, 0.1], **SMALL)
    assert [run.directory.name for run in runs] == ["alpha-0.1"]
    assert caught[0].filename == __file__  # the line that the caller wrote


def test_kinds_of_lists_and_names(arrays, tmp_path):
    runs = mnistgpu.sweep(
        *arrays,
        out=tmp_path / "s",
        validation=[50, 100],
        layers=[(784, 10), "784-8-10"],
        center=(False, True),
        ema=np.array([0.5]),  # one value: no part of a name
        batch_size=[None],
        seed=range(3, 4),
        iterations=2,
    )
    names = [run.directory.name for run in runs]
    assert names[0] == "layers-784-10_validation-50_center-no"
    assert names[-1] == "layers-784-8-10_validation-100_center-yes"
    assert len(names) == 8
    assert {(run.settings.ema, run.settings.seed, run.settings.batch_size) for run in runs} == {
        (0.5, 3, None)
    }
    assert {run.settings.validation for run in runs} == {50, 100}


def test_paths_and_weights_of_classes_make_names_for_every_system(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        mnistgpu.fit(*arrays, out=f"old/{seed}", seed=seed, iterations=2)
    how = {"iterations": 2, "class_weight": ["none", {0: 1, 7: 2.5}]}
    given = [str(tmp_path / "old" / "0"), "old/1"]
    runs = mnistgpu.sweep(*arrays, out="new", from_run=given, **how)
    assert sorted(path.name for path in Path("new").iterdir()) == sorted(
        run.directory.name for run in runs
    )
    assert runs[-1].directory.name == "class-weight-0-1-7-2.5_from-old-1"
    assert runs[-1].settings.class_weight == "0:1,7:2.5"
    with pytest.raises(mnistgpu.UsageError, match="would be the directory of two runs"):
        mnistgpu.sweep(*arrays, out="new", from_run=["old/1", "old//1"], **how)


def test_test_and_validation_images_of_their_own(arrays, tmp_path):
    images, labels = arrays
    parts = [(images[i : i + 100], labels[i : i + 100]) for i in (700, 800)]
    runs = mnistgpu.sweep(
        *(images[:700], labels[:700]),
        out=tmp_path / "s",
        test=parts[0],
        validation=parts[1],
        alpha=[1, 0.1],
        **SMALL,
    )
    assert [run.directory.name for run in runs] == ["alpha-1", "alpha-0.1"]
    for run in runs:
        assert run.test_accuracy == np.mean(run.model.predict(parts[0][0]) == parts[0][1])
        assert run.settings.validation == 0
        assert run.results["validation_accuracy"] is not None
    saved = json.loads((tmp_path / "s" / "alpha-1" / "settings.json").read_text())["settings"]
    assert saved["learning_rate"] == 1.0


def test_more_runs_than_a_thousand_need_a_yes(arrays, tmp_path):
    with pytest.raises(mnistgpu.UsageError, match=r"make 1,001 runs; add --yes \(in Python yes="):
        mnistgpu.sweep(*arrays, out=tmp_path / "s", seed=range(1001), **SMALL)
    with pytest.raises(mnistgpu.UsageError, match=r"make 1,000,000,000 runs"):
        lists = {"seed": range(1000), "alpha": np.linspace(0.1, 1, 1000), "l2": list(range(1000))}
        mnistgpu.sweep(*arrays, out=tmp_path / "s", **lists)
    work = sweeping.Sweep(
        *arrays, tmp_path / "s", None, None, None, None, None, True, {"seed": range(1001)}
    )
    assert len(work.planned) == 1001
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": [1]}, "needs a setting with several values"),
        ({}, "needs a setting with several values"),
        ({"alhpa": [1, 2]}, "no setting 'alhpa'; did you mean alpha?"),
        ({"alpha": [1, 2], "lr": [3, 4]}, "learning_rate is given twice"),
        ({"alpha": [0.1, "high"]}, "--alpha must be float, not 'high'"),
        ({"alpha": [0.1, -1]}, "--alpha must be a finite number"),
        ({"alpha": [1, 1.0]}, "alpha: the value 1.0 is given twice"),
        ({"alpha": [0.1, 0.2], "seed": []}, "seed: the list is empty"),
        ({"seed": [0, 1], "alpha": {0.1: 2}}, "--alpha must be float"),
        ({"layers": ["784-10", "700-10"]}, "begin it with 784"),
        ({"batch_size": [10, 10**6]}, "--batch-size 1000000 is more than the"),
        ({"epochs": [1, 2], "iterations": [1, 2]}, "not both"),
        ({"seed": [0, 1], "recipe": "fats"}, "did you mean fast?"),
        ({"seed": [0, 1], "out": "."}, "a directory of its own"),
        ({"seed": [0, 1], "out": 5}, "--out: must be a path"),
        ({"seed": [0, 1], "yes": "no"}, "yes: must be True or False"),
        ({"seed": [0, 1], "backend": "torch"}, "unknown backend 'torch'"),
        ({"seed": [0, 1], "checkpoint_every": "often"}, "not 'often'"),
        ({"seed": [0, 1], "force": True}, "there is no setting 'force'"),
    ],
)
def test_a_wrong_call_is_refused_before_the_first_run(arrays, tmp_path, arguments, words):
    given = {"out": tmp_path / "s", "iterations": 2} | arguments
    if "epochs" in arguments:
        given["layers"] = "784-10"
    with pytest.raises(mnistgpu.UsageError) as error:
        mnistgpu.sweep(*arrays, **given)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_runs_with_other_settings_or_data_are_kept(arrays, tmp_path):
    images, labels = arrays
    out = tmp_path / "s"
    runs = mnistgpu.sweep(images, labels, out=out, seed=[1, 2], **SMALL)
    theirs = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for data, changes in (
        ((images, labels), {"alpha": 0.123}),
        ((images[:800], labels[:800]), {}),
        ((images, labels), {"epochs": 2}),
    ):
        with pytest.raises(mnistgpu.UsageError, match=r"seed-1: a run with other settings or data"):
            mnistgpu.sweep(*data, out=out, seed=[1, 2], **SMALL | changes)
    for name in ("results.json", "checkpoint.safetensors"):
        (runs[1].directory / name).unlink()
        with pytest.raises(mnistgpu.UsageError, match=r"seed-2: a run with other settings"):
            mnistgpu.sweep(images, labels, out=out, seed=[3, 2], **SMALL, alpha=0.123)
    with pytest.raises(mnistgpu.UsageError, match=r"seed-1: is the directory of a run; choose"):
        mnistgpu.sweep(images, labels, out=out / "seed-1", seed=[1, 2], **SMALL)
    assert all(path.read_bytes() == theirs[path] for path in theirs if "seed-1" in str(path))


def test_a_directory_that_another_process_writes_stops_the_sweep(arrays, tmp_path):
    out = tmp_path / "s"
    with (
        run_directory.writing(out / "seed-2"),
        pytest.raises(mnistgpu.RunError, match=r"seed-2: another run \(process "),
    ):
        mnistgpu.sweep(*arrays, out=out, seed=[1, 2], **SMALL)
    assert run_directory.is_whole(out / "seed-1")
