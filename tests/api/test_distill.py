"""`mnistgpu.distill` and `mnistgpu distill`: a committee as one plain network."""

import subprocess
import sys

import numpy as np
import pytest
from helpers import runs

import mnistgpu
from mnistgpu.errors import DataError, Note, UsageError

SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}


@pytest.fixture(scope="module")
def taught(small_set, tmp_path_factory):
    """A folder with a committee of two members, trained on the small set, and its data."""
    folder = tmp_path_factory.mktemp("taught")
    members = []
    for seed in (0, 1):
        out = folder / f"member-{seed}"
        mnistgpu.fit(small_set, out=out, progress=False, seed=seed, **SMALL)
        members.append(out)
    mnistgpu.committee(members, out=folder / "committee")
    return folder


def test_a_network_learns_what_the_committee_answers(taught):
    run = mnistgpu.distill(taught / "committee", layers="784-24-10", epochs=30, progress=False)
    assert run.model.trained.sizes == (784, 24, 10)
    assert run.settings.batch_size == 50  # of the first member, and so is the rate
    assert (run.settings.learning_rate, run.settings.label_smoothing) == (0.1, 0.0)
    committee = mnistgpu.load(taught / "committee")
    test = run.dataset.test.images
    agreed = np.mean(run.model.predict(test) == committee.predict(test))
    assert agreed > 0.85
    assert run.test_accuracy is not None


def test_it_goes_on_where_it_stopped_and_refuses_another_teacher(taught, tmp_path):
    class StopAt(mnistgpu.Callback):
        def begin(self, trainer, progress, stop):
            self.stop = stop

        def step(self, trainer, progress):
            if trainer.taken == 7:
                self.stop.interrupt("a test", 1)

    how = {"layers": "784-24-10", "epochs": 2, "progress": False}
    whole = mnistgpu.distill(taught / "committee", **how)
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.distill(taught / "committee", out=tmp_path / "run", callbacks=[StopAt()], **how)
    with pytest.raises(DataError, match="is not the network that the run learns from"):
        mnistgpu.resume(tmp_path / "run", teacher=taught / "member-0", progress=False)
    run = mnistgpu.resume(tmp_path / "run", progress=False)
    assert run.model.trained.theta.tobytes() == whole.model.trained.theta.tobytes()
    assert run.settings.teacher.startswith(str(taught / "committee"))


def test_a_model_that_was_not_saved_teaches_too(taught, tmp_path):
    model = mnistgpu.load(taught / "member-0")
    named = mnistgpu.committee([taught / "member-0", taught / "member-1"])
    for teacher in (named, model):
        run = mnistgpu.distill(
            teacher, mnistgpu.load_data(), layers="784-8-10", epochs=None, iterations=2,
            batch_size=50, progress=False, validation=100,
        )  # fmt: skip
        assert "digest" in run.settings.teacher


def test_other_classes_and_images_are_refused(taught, arrays):
    images, labels = arrays
    names = np.array(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"])[labels]
    with pytest.raises(UsageError, match=r"--teacher: knows the classes 0, 1, .*are a, b"):
        mnistgpu.distill(taught / "committee", images, names, epochs=1, progress=False)
    with pytest.raises(UsageError, match=r"--teacher: reads images of 28x28 .* have 14x14"):
        small = images[:, ::2, ::2]
        mnistgpu.distill(
            taught / "committee", small, labels, layers="196-8-10", epochs=1, progress=False
        )


def test_a_run_without_a_teacher_takes_none_when_it_goes_on(taught, tmp_path):
    how = {"epochs": 3, "progress": False, "out": tmp_path / "longer"}
    with pytest.raises(UsageError, match="was begun without one"):
        mnistgpu.resume(taught / "member-0", teacher=taught / "member-1", **how)


def test_the_teacher_is_the_network_that_is_named_first(taught):
    with pytest.raises(UsageError, match="distill: --teacher is the network that is named first"):
        mnistgpu.distill(taught / "committee", teacher=taught / "member-0", progress=False)


def test_another_optimiser_has_its_own_rate(taught):
    how = {"layers": "784-8-10", "iterations": 1, "epochs": None, "progress": False}
    for name, rate in (("adam", 0.001), ("gradient-descent", 0.1)):
        run = mnistgpu.distill(taught / "committee", optimizer=name, **how)
        assert run.settings.learning_rate == rate
    for wrong in ("adm", ["adam"]):
        with pytest.raises(UsageError, match="--optimizer"):
            mnistgpu.distill(taught / "committee", optimizer=wrong, **how)
    fast = taught / "fast"
    mnistgpu.fit(mnistgpu.load_data(), out=fast, progress=False, optimizer="nesterov",
                 momentum=0.8, **FEW)  # fmt: skip
    run = mnistgpu.distill(fast, optimizer="adam", **how)
    assert (run.settings.learning_rate, run.settings.momentum) == (0.001, 0.9)


@pytest.mark.slow
def test_of_a_teacher_whose_test_images_were_cut_off(arrays, tmp_path):
    """The student is tested on the same, also when its data are read again."""
    images, labels = arrays
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels)
    how = {"layers": "784-8-10", "iterations": 3, "progress": False}
    teacher = mnistgpu.fit(tmp_path / "own.npz", out=tmp_path / "teacher", test_share=0.2, **how)
    for given in (teacher, tmp_path / "teacher"):
        out = tmp_path / f"student-{type(given).__name__}"
        student = mnistgpu.distill(given, out=out, **how)
        assert student.dataset.digest == teacher.dataset.digest
        found = mnistgpu.evaluate(out, robustness=False)
        assert found.accuracy == student.test_accuracy
    student = mnistgpu.distill(tmp_path / "teacher", recipe="classic", **how)
    assert student.dataset.test.digest == teacher.dataset.test.digest
    in_memory = mnistgpu.fit(images, labels, test_share=0.2, **how)
    student = mnistgpu.distill(in_memory, **how)
    assert student.dataset.test.digest == in_memory.dataset.test.digest


def test_settings_of_the_data_of_an_exact_teacher_stay_with_it(arrays, tmp_path):
    images, labels = arrays
    how = {"layers": "784-8-10", "iterations": 3, "progress": False}
    own = {"precision": "exact", "validation": 300, "orientation": "upright", "test_share": 0.1}
    teacher = mnistgpu.fit(images, labels, **how, **own, batch_size=64)
    student = mnistgpu.distill(teacher, images[:200], labels[:200], **how)
    assert student.settings.precision == "float64"
    assert student.settings.validation == 20  # a tenth, as of any new data
    assert (student.settings.orientation, student.settings.test_share) == ("by-name", 0.0)


def test_smoothing_of_labels_that_are_not_learnt_is_said(taught, arrays):
    how = {"layers": "784-8-10", "iterations": 2, "label_smoothing": 0.1, "progress": False}
    with pytest.warns(Note, match=r"--label-smoothing 0\.1 does nothing with --teacher"):
        smoothed = mnistgpu.fit(*arrays, teacher=taught / "member-0", **how)
    how["label_smoothing"] = 0.0
    plain = mnistgpu.fit(*arrays, teacher=taught / "member-0", **how)
    assert smoothed.model.trained.theta.tobytes() == plain.model.trained.theta.tobytes()


FEW = {"layers": "784-8-10", "init": "he", "batch_size": 100, "iterations": 4, "validation": 0}


def test_a_sweep_with_a_teacher_goes_on(taught, small_set, tmp_path, monkeypatch):
    """Its runs are saved with the teacher's digest, which the call does not name."""
    monkeypatch.chdir(taught)
    for lists in ({"teacher": "member-0", "seed": [0, 1]}, {"teacher": ["member-0", "member-1"]}):
        how = {"out": tmp_path / f"sweep-{len(lists)}", **FEW, **lists}
        first = mnistgpu.sweep(small_set, **how)
        assert all("(digest " in run.settings.teacher for run in first)
        again = mnistgpu.sweep(small_set, **how)
        assert [run.model for run in again] == [run.model for run in first]
        assert len({run.model.trained.digest for run in first}) == 2


def test_events_of_a_run_with_a_teacher(taught, small_set, tmp_path):
    """The file names the teacher with its digest; the same may be given by its path."""
    how = {"teacher": taught / "member-0", "progress": False}
    change = [{"step": 2, "name": "learning_rate", "new": 0.05}]
    run = mnistgpu.fit(small_set, out=tmp_path / "run", events=change, **FEW, **how)
    file = tmp_path / "run" / "events.json"
    assert mnistgpu.fit(events=file, **how).model == run.model
    for name, flags in (("a", []), ("b", ["--teacher", taught / "member-0"])):
        done = runs.run_here("--events", file, *flags, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert mnistgpu.load(tmp_path / name) == run.model
    with pytest.raises(UsageError, match=r"--teacher .*member-1.*leave it out"):
        mnistgpu.fit(events=file, teacher=taught / "member-1", progress=False)


def test_the_command(taught, tmp_path):
    command = [sys.executable, "-m", "mnistgpu.cli", "distill", str(taught / "committee")]
    command += ["--layers", "784-24-10", "--epochs", "3", "--out", "student"]
    done = subprocess.run(
        command, cwd=tmp_path, env=runs.environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "network   784-24-10" in done.stdout
    found = mnistgpu.load(tmp_path / "student")
    assert found.trained.sizes == (784, 24, 10)
