"""`mnistgpu.fit` and `resume`: what they return, write, refuse, and do when interrupted."""

import hashlib
import json
import multiprocessing
import signal
import threading
import warnings

import numpy as np
import pytest
from helpers import runs

import mnistgpu
from mnistgpu.errors import Note
from mnistgpu.runs import checkpoint, run_directory
from mnistgpu.storage import system

SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}


def digest_of(run):
    return hashlib.sha256(run.model.trained.theta.tobytes()).hexdigest()


def test_a_run_of_arrays(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, labels = arrays
    run = mnistgpu.fit(images[:700], labels[:700], test=(images[700:], labels[700:]), **SMALL)
    right = np.mean(run.model.predict(images[700:]) == labels[700:])
    assert run.test_accuracy == pytest.approx(right)
    assert run.test_accuracy > 0.5
    assert [row.epoch for row in run.history[1:]] == [1, 2]
    assert run.settings.validation == 70  # a tenth, since classic's 1,000 are more
    assert run.directory is None
    assert list(tmp_path.iterdir()) == []
    assert repr(run).startswith(f"<Run 784-16-10: test accuracy {right:.4f}, 26 iterations in ")
    assert repr(run.model) == "<Model 784-16-10, 12,730 parameters>"


def test_floats_cubes_and_rows_give_the_same_network(arrays):
    images, labels = arrays
    rows = images.reshape(-1, 784)
    kinds = [images, rows, rows / 255, images.astype(np.int64), (images / 255).astype(np.float32)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)  # which says that floats are from 0 to 1
        digests = {digest_of(mnistgpu.fit(kind, labels, **SMALL)) for kind in kinds}
    assert len(digests) == 1


def test_without_test_data_there_is_no_test_accuracy(arrays):
    run = mnistgpu.fit(*arrays, **SMALL)
    assert run.test_accuracy is None
    assert run.results["test_accuracy"] is None
    assert "test accuracy" not in repr(run)


def test_validation_by_number_and_by_arrays(arrays):
    images, labels = arrays
    by_number = mnistgpu.fit(images, labels, validation=np.int64(200), **SMALL)
    assert by_number.settings.validation == 200
    held_out = (images[800:], labels[800:])
    by_arrays = mnistgpu.fit(images[:800], labels[:800], validation=held_out, **SMALL)
    assert by_arrays.settings.validation == 0
    assert by_arrays.results["iterations"] == 32  # all 800 are trained on, in batches of 50
    right = np.mean(by_arrays.model.predict(held_out[0]) == held_out[1])
    assert by_arrays.results["validation_accuracy"] == pytest.approx(right)
    early = mnistgpu.fit(
        images[:800], labels[:800], validation=held_out, **SMALL | {"epochs": 50}, early_stopping=1
    )
    assert early.results["iterations"] < 50 * 16


@pytest.mark.slow
def test_the_command_line_trains_the_same_network(tmp_path):
    data = runs.write_small_set(tmp_path)
    done = runs.run(
        "--data", data, "--layers", "784-12-10", "--iterations", 9, "--out", tmp_path / "a"
    )
    assert done.returncode == 0, done.stderr
    run = mnistgpu.fit(data, layers=(784, 12, 10), iterations=9, out=tmp_path / "b")
    assert mnistgpu.load(tmp_path / "a") == mnistgpu.load(tmp_path / "b") == run.model
    files = [json.loads((tmp_path / name / "settings.json").read_bytes()) for name in "ab"]
    assert files[0] == files[1]
    assert {path.name for path in (tmp_path / "b").iterdir()} == set(run_directory.FILES)
    assert run.directory == tmp_path / "b"


def test_a_run_goes_on_with_the_same_bits(arrays, tmp_path):
    images, labels = arrays
    whole = mnistgpu.fit(images, labels, **SMALL)
    mnistgpu.fit(images, labels, **SMALL | {"epochs": 1}, out=tmp_path / "run")
    longer = mnistgpu.resume(tmp_path / "run", images, labels, epochs=2, out=tmp_path / "longer")
    assert digest_of(longer) == digest_of(whole)
    assert longer.history[-1].train_loss == whole.history[-1].train_loss
    with pytest.raises(mnistgpu.UsageError, match="a finished run is there"):
        mnistgpu.resume(tmp_path / "run", images, labels, epochs=3)
    again = mnistgpu.resume(tmp_path / "longer")  # nothing to do, so no data are needed
    assert digest_of(again) == digest_of(whole)
    assert again.history == longer.history
    with pytest.raises(mnistgpu.DataError, match=r"not the data that .* was trained on"):
        mnistgpu.resume(tmp_path / "run", images[:800], labels[:800], epochs=3, out=tmp_path / "x")


class Interrupt(mnistgpu.Callback):
    """Sends Ctrl-C to this process after a step."""

    def step(self, trainer, progress):
        if trainer.taken == 3:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def ctrl_c():
    """Python's own handler of Ctrl-C, which a suite begun by nohup does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_ctrl_c_saves_a_run_with_a_directory(arrays, tmp_path, ctrl_c):
    path = tmp_path / "run"
    with pytest.raises(
        KeyboardInterrupt, match=r"after iteration 3 of 34; go on with mnistgpu\.resume"
    ):
        mnistgpu.fit(*arrays, **SMALL, out=path, callbacks=[Interrupt()])
    assert checkpoint.load(path).taken == 3
    assert digest_of(mnistgpu.resume(path, *arrays)) == digest_of(mnistgpu.fit(*arrays, **SMALL))


def test_ctrl_c_without_a_directory_is_a_plain_interrupt(arrays, ctrl_c):
    with pytest.raises(KeyboardInterrupt):
        mnistgpu.fit(*arrays, **SMALL, callbacks=[Interrupt()])


def in_a_thread(function):
    """The result of a function that is called in another thread, or the error it raised."""
    found = []

    def call():
        try:
            found.append(function())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(timeout=60)
    return found[0]


class Look(mnistgpu.Callback):
    """Keeps who handles Ctrl-C while a network is trained, and how many processes train it."""

    def begin(self, trainer, progress, stop):
        self.trainer = trainer

    def row(self, row, theta):
        self.handler, self.processes = signal.getsignal(signal.SIGINT), self.trainer.processes


WIDE = SMALL | {"layers": "784-256-10", "batch_size": 256, "epochs": 1}  # its steps are shared


def test_in_a_thread_nothing_is_started_and_no_signal_is_handled(arrays, tmp_path, ctrl_c):
    there, here = Look(), Look()
    run = in_a_thread(
        lambda: mnistgpu.fit(*arrays, **WIDE, out=tmp_path / "there", callbacks=[there])
    )
    assert run.model.sizes == (784, 256, 10)
    assert (there.handler, there.processes) == (signal.default_int_handler, 1)
    mnistgpu.fit(*arrays, **WIDE, out=tmp_path / "here", callbacks=[here])
    assert here.handler is not signal.default_int_handler
    assert here.processes == min(2, system.cores())


def child(arrays, queue):
    """A daemonic process that trains: it reports the accuracy, and how many children it has."""
    children = []

    class Count(mnistgpu.Callback):
        def row(self, row, theta):
            with open(
                f"/proc/{multiprocessing.current_process().pid}/task/"
                f"{multiprocessing.current_process().pid}/children"
            ) as file:
                children.extend(file.read().split())

    run = mnistgpu.fit(*arrays, **WIDE, callbacks=[Count()])
    queue.put((run.results["train_accuracy"], children))


def test_a_daemonic_process_starts_no_processes(arrays):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=child, args=(arrays, queue), daemon=True)
    process.start()
    accuracy, children = queue.get(timeout=60)
    process.join(timeout=60)
    assert accuracy > 0.2
    assert children == []


def test_workers_of_joblib(arrays):
    joblib = pytest.importorskip("joblib", reason="joblib is not installed")
    one = SMALL | {"epochs": 1}
    found = joblib.Parallel(n_jobs=2)(
        joblib.delayed(mnistgpu.fit)(*arrays, **one, seed=seed) for seed in (0, 1)
    )
    assert digest_of(found[0]) == digest_of(mnistgpu.fit(*arrays, **one))
    assert digest_of(found[1]) != digest_of(found[0])


def test_warnings_are_heard(arrays):
    images, labels = arrays
    dim = mnistgpu.Digits((images > 127).astype(np.uint8).reshape(-1, 784), labels, "made by hand")
    nearly_blank = "the accuracy is that of guessing .* because the images are nearly blank"
    with (
        pytest.warns(UserWarning, match="the brightest pixel is 1, where ink should be 255"),
        pytest.warns(UserWarning, match=nearly_blank),
    ):
        mnistgpu.fit(mnistgpu.Dataset(dim, None, "made by hand"), **SMALL)


def test_a_stop_ends_a_run_with_its_results(arrays):
    stop = mnistgpu.Stop()

    class Enough(mnistgpu.Callback):
        def row(self, row, theta):
            if row.epoch >= 1:
                stop.finish()

    run = mnistgpu.fit(*arrays, **SMALL | {"epochs": 9}, callbacks=[Enough()], stop=stop)
    assert run.results["iterations"] == 17
    assert run.history[-1].epoch == 1


def test_what_is_printed(arrays, capsys):
    mnistgpu.fit(*arrays, **SMALL)
    assert capsys.readouterr().out == ""
    mnistgpu.fit(*arrays, **SMALL, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("mnistgpu ")
    assert lines[2].startswith("data      arrays: 810 training, 90 validation, no test images;")
    assert lines[-1].startswith("time ")


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ({"recipe": "fats"}, mnistgpu.UsageError, "did you mean fast?"),
        ({"deform": "stong"}, mnistgpu.UsageError, "strong"),
        ({"alhpa": 0.1}, mnistgpu.UsageError, "no setting 'alhpa'; did you mean alpha?"),
        ({"alpha": 0.1, "lr": 0.2}, mnistgpu.UsageError, "learning_rate is given twice"),
        ({"epochs": 2, "iterations": 3}, mnistgpu.UsageError, "not both"),
        ({"layers": (64, 10)}, mnistgpu.UsageError, "begin it with 784"),
        ({"layers": "784-5"}, mnistgpu.UsageError, "end it with 10"),
        ({"layers": (784, 10.5)}, mnistgpu.UsageError, "--layers must be"),
        ({"validation": 900}, mnistgpu.UsageError, "leaves nothing to train on"),
        ({"validation": "some"}, mnistgpu.DataError, "or a pair of images and labels"),
        ({"test": 5}, mnistgpu.DataError, "test: must be a pair"),
        ({"backend": "torch"}, mnistgpu.UsageError, "unknown backend 'torch'"),
        ({"out": "."}, mnistgpu.UsageError, "a directory of its own"),
        ({"checkpoint_every": "often"}, mnistgpu.UsageError, "not 'often'"),
        ({"epochs": 2.5}, mnistgpu.UsageError, "--epochs must be int or None, not 2.5"),
        ({"alpha": float("nan")}, mnistgpu.UsageError, "not nan"),
        ({"alpha": 1e30}, mnistgpu.DivergedError, "training diverged"),
    ],
)
def test_a_wrong_call_is_one_sentence(arrays, arguments, kind, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(kind) as error:
            mnistgpu.fit(*arrays, **arguments)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, RuntimeError if kind is mnistgpu.DivergedError else ValueError)


def test_y_without_x_is_refused(arrays):
    with pytest.raises(mnistgpu.UsageError, match="y is given, but X is missing"):
        mnistgpu.fit(None, arrays[1])
    with pytest.raises(mnistgpu.DataError, match="y: is missing"):
        mnistgpu.fit(arrays[0])
