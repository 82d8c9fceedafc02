"""`mnistgpu.verify`, the digest of a run, and exact runs that go on elsewhere."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from helpers import device, runs
from helpers.command import run_here

import mnistgpu
from mnistgpu.api import verifying
from mnistgpu.engine import exact_probe
from mnistgpu.models import model
from mnistgpu.runs import checkpoint, digests

SMALL = {
    "layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1,
    "precision": "exact", "validation": 100, "early_stopping": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def exact_run(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "exact"
    return mnistgpu.fit(*arrays, out=path, progress=False, **SMALL)


def test_the_digest_is_that_of_the_saved_parameters(exact_run):
    saved = model.load(exact_run.directory)
    assert exact_run.digest == saved.digest == exact_run.results["digest"]
    assert saved.theta.dtype == np.float64
    results = json.loads((exact_run.directory / "results.json").read_text())
    assert results["digest"] == exact_run.digest
    assert list(results["digests"]) == ["1", "2", "5", "10", "20", "32"]
    kept = checkpoint.load(exact_run.directory).progress.digests
    assert {str(step): digest for step, digest in kept.items()} == results["digests"]
    changed = dataclasses.replace(saved, theta=saved.theta + 0.0)
    changed.theta[0] = np.nextafter(changed.theta[0], 1.0)
    assert changed.digest != saved.digest


def test_runs_in_other_precisions_say_no_digest(arrays, tmp_path):
    run = mnistgpu.fit(*arrays, progress=False, **SMALL | {"precision": "float64"})
    assert not {"digest", "digests"} & set(run.results)
    assert run.digest == run.model.trained.digest


def test_marks():
    found, taken = [], 0
    while taken < 730:
        taken = digests.next_mark(taken, 730)
        found.append(taken)
    assert found == [1, 2, 5, 10, 20, 50, 100, 200, 500, 730]


def test_the_same_run_is_verified(exact_run, arrays):
    found = mnistgpu.verify(exact_run.directory, *arrays, validation=100)
    assert found
    assert found.same
    assert found.expected == found.found == exact_run.digest
    assert found.steps == exact_run.results["iterations"]
    assert found.sentence.startswith("the same: the digest is " + exact_run.digest)


def test_first_steps_are_verified(exact_run, arrays):
    found = mnistgpu.verify(exact_run.directory, *arrays, validation=0.2, steps=np.int64(20))
    assert found
    assert found.found == exact_run.results["digests"]["20"]
    between = mnistgpu.verify(exact_run.directory, *arrays, steps=7)
    assert between
    assert "after step 5 " in between.sentence
    assert between.found in between.sentence


def edited(run, tmp_path, change):
    """A copy of a run whose checkpoint is another one."""
    path = tmp_path / "copy"
    shutil.copytree(run.directory, path)
    checkpoint.save(change(checkpoint.load(path)), path / checkpoint.FILE)
    return path


def test_another_run_is_not_the_same(exact_run, arrays, tmp_path):
    """The record of one run, the settings of another: as if the arithmetic were another."""

    def change(saved):
        return dataclasses.replace(saved, settings=saved.settings.changed(seed=7))

    path = edited(exact_run, tmp_path, change)
    found = mnistgpu.verify(path, *arrays)
    assert not found
    assert found.sentence.startswith("different: the digest is")
    assert "the first difference is at step 1" in found.sentence
    few = mnistgpu.verify(path, *arrays, steps=10)
    assert not few
    assert few.steps == 1


def test_a_history_that_differs_is_noticed(exact_run, arrays, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(exact_run.directory, path)
    text = (path / "history.csv").read_text()
    rows = text.splitlines()
    cells = rows[2].split(",")
    cells[3] = str(np.nextafter(float(cells[3]), 1.0))
    (path / "history.csv").write_text("\n".join([*rows[:2], ",".join(cells), *rows[3:]]) + "\n")
    found = mnistgpu.verify(path, *arrays)
    assert not found
    assert f"history.csv is not at iteration {cells[0]}" in found.sentence


def test_wrong_calls_are_refused(exact_run, arrays, tmp_path):
    with pytest.raises(mnistgpu.UsageError, match="--steps"):
        mnistgpu.verify(exact_run.directory, *arrays, steps=0)
    with pytest.raises(mnistgpu.DataError, match="not the data"):
        mnistgpu.verify(exact_run.directory, arrays[0][:500], arrays[1][:500])
    rounded = tmp_path / "float32"
    mnistgpu.fit(*arrays, out=rounded, progress=False, **SMALL | {"precision": "float32"})
    with pytest.raises(mnistgpu.UsageError, match="--precision float32"):
        mnistgpu.verify(rounded, *arrays)
    with pytest.raises(mnistgpu.DataError, match="no checkpoint"):
        mnistgpu.verify(tmp_path, *arrays)


def stopped(arrays, path):
    """A run in the directory that was stopped after step 12."""
    stop = mnistgpu.Stop()

    class AtStep(mnistgpu.Callback):
        def step(self, trainer, progress):
            if trainer.taken >= 12:
                stop.interrupt("the test")

    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(*arrays, out=path, progress=False, callbacks=[AtStep()], stop=stop, **SMALL)
    return path


def test_a_run_that_is_not_finished(arrays, tmp_path):
    """Its first steps can be verified, its end cannot."""
    path = stopped(arrays, tmp_path / "run")
    assert mnistgpu.verify(path, *arrays, steps=10)
    with pytest.raises(mnistgpu.DataError, match="is not finished"):
        mnistgpu.verify(path, *arrays)
    whole = mnistgpu.resume(path, *arrays, progress=False)
    expected = mnistgpu.fit(*arrays, progress=False, **SMALL)
    assert whole.digest == expected.digest
    assert whole.results["digests"] == expected.results["digests"]
    rows = [verifying.figures(row) for row in whole.history]
    assert rows == [verifying.figures(row) for row in expected.history]


def test_a_run_goes_on_on_another_machine_with_the_same_bits(arrays, tmp_path, monkeypatch, capsys):
    path = stopped(arrays, tmp_path / "run")
    machine = {"backend": "numpy", "device": "another", "numpy": "9.9"}
    monkeypatch.setattr(checkpoint, "machine", lambda backend, ranks=1: machine)
    whole = mnistgpu.resume(path, *arrays, progress=True)
    said = capsys.readouterr().out
    assert "rounding  from here on" not in said
    assert "stays the same" in said
    assert f"digest    {whole.digest}" in said
    assert whole.digest == mnistgpu.fit(*arrays, progress=False, **SMALL).digest


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "replayed"])
def test_a_gpu_has_the_digest_of_the_cpu(exact_run, arrays, tmp_path, graph, monkeypatch):
    """A whole run, with its history; and a run that is begun here and goes on there."""
    try:
        gpu = mnistgpu.backend.select("cupy")
    except mnistgpu.BackendError as error:
        pytest.skip(str(error))
    if device.is_counted():  # which takes the smallest float64 for 0, and a GPU does not
        monkeypatch.setattr(exact_probe, "keeps_the_smallest", lambda backend: True)
    if not graph:
        found = mnistgpu.verify(exact_run.directory, *arrays, validation=100, backend=gpu)
        assert found, found.sentence
    there = mnistgpu.fit(*arrays, progress=True, backend=gpu, graph=graph, **SMALL)
    assert there.digest == exact_run.digest
    assert there.results["digests"] == exact_run.results["digests"]
    stop = mnistgpu.Stop()

    class AtStep(mnistgpu.Callback):
        def step(self, trainer, progress):
            if trainer.taken >= 12:
                stop.interrupt("the test")

    path, given = tmp_path / "run", SMALL | {"graph": graph}
    begun = gpu if graph else "numpy"  # a run with --graph can only be begun on a GPU
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(
            *arrays, out=path, backend=begun, progress=False, callbacks=[AtStep()], stop=stop,
            **given,
        )  # fmt: skip
    assert mnistgpu.resume(path, *arrays, backend=gpu).digest == exact_run.digest


def written(small_set, path, precision, kernels):
    """history.csv without its seconds, results.json without its times, of a run with kernels."""
    options = (
        *("--data", small_set, "--layers", "784-16-10", "--epochs", "2", "--batch-size", "50"),
        *("--alpha", "0.1", "--init", "he", "--validation", "100", "--early-stopping", "5"),
        *("--precision", precision, "--out", path),
    )
    variables = runs.environment() | {"OPENBLAS_CORETYPE": kernels}
    done = runs.run(*options, env=variables)
    assert done.returncode == 0, done.stderr
    header, *rows = (path / "history.csv").read_text().splitlines()
    place = header.split(",").index("seconds")
    history = [[cell for i, cell in enumerate(row.split(",")) if i != place] for row in rows]
    results = json.loads((path / "results.json").read_text())
    for name in ("seconds", "images_per_second"):
        del results[name]
    return history, json.dumps(results)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["exact", "float32"])
def test_two_kernels_write_the_same_files(small_set, tmp_path, precision):
    """But for times; with float32, the control, they do not."""
    here, there = (
        written(small_set, tmp_path / kernels, precision, kernels)
        for kernels in ("Haswell", "Prescott")
    )
    assert (here == there) == (precision == "exact")


def test_another_version_of_exact_arithmetic_is_refused(exact_run, arrays, monkeypatch):
    from mnistgpu.maths import exact

    monkeypatch.setattr(exact, "VERSION", 2)
    for use in (
        lambda: mnistgpu.verify(exact_run.directory, *arrays),
        lambda: mnistgpu.resume(exact_run.directory, *arrays),
        lambda: mnistgpu.load(exact_run.directory),
    ):
        with pytest.raises(mnistgpu.DataError, match="version 1 of exact arithmetic"):
            use()


def test_the_command(small_set, tmp_path):
    options = ("--data", small_set, "--layers", "784-16-10", "--iterations", "4", "--alpha", "0.1")
    done = runs.run_here(
        *options, "--precision", "exact", "--validation", "0", "--out", tmp_path / "r"
    )
    assert done.returncode == 0, done.stderr
    digest = json.loads((tmp_path / "r" / "results.json").read_text())["digest"]
    assert f"digest    {digest}" in done.stdout
    done = run_here("verify", tmp_path / "r", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().startswith("the same: the digest is " + digest)
    done = run_here("verify", tmp_path / "r", "--steps", "2", "--quiet")
    assert done.returncode == 0
    done = run_here("verify", tmp_path / "r", "--steps", "0")
    assert done.returncode == 2
