"""`mnistgpu export` and `mnistgpu.export`: what is refused, what is replaced, and stopped runs."""

import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers import runs
from helpers.command import run_here
from helpers.mnist import read_idx
from helpers.networks import committee, made

import mnistgpu

FILES = ("model.npz", "model.json", "model.h", "model.html", "model.onnx")


class Interrupt(mnistgpu.Callback):
    """Stops a run after some steps, as a signal does."""

    def begin(self, trainer, progress, stop):
        self.stop = stop

    def step(self, trainer, progress):
        if trainer.taken == 20:
            self.stop.interrupt("the test")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return runs.write_small_set(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def stopped(small, tmp_path_factory):
    """The directory of a run that was stopped after 20 of 60 iterations."""
    path = tmp_path_factory.mktemp("runs") / "stopped"
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(
            small, layers="784-10-10", epochs=10, batch_size=140, out=path, callbacks=[Interrupt()]
        )
    return path


FACT = "after 20 of 60 iterations"


@pytest.mark.parametrize("name", FILES)
def test_a_stopped_run_says_how_far_it_is(stopped, tmp_path, name):
    if name == "model.onnx":
        pytest.importorskip("onnx")
    done = run_here("export", stopped, tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"warning: {stopped}: not finished; its network is that {FACT}\n"
    content = (tmp_path / name).read_bytes().replace(b"\0", b"")  # NumPy's texts have four bytes
    assert FACT.encode() in content
    assert b"stopped" in content


def test_a_stopped_run_as_a_folder_says_so(stopped, tmp_path):
    with pytest.warns(UserWarning, match=FACT):
        mnistgpu.export(stopped, tmp_path / "hub", hub=True)
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["stopped"] == FACT
    assert FACT in (tmp_path / "hub" / "README.md").read_text()
    assert mnistgpu.load(tmp_path / "hub").sizes == (784, 10, 10)


def test_a_run_that_was_stopped_in_this_program(small, tmp_path):
    run = mnistgpu.fit(
        small,
        layers="784-10-10",
        epochs=10,
        batch_size=140,
        stop=(stop := mnistgpu.Stop()),
        on_interrupt="return",
        callbacks=[Ask(stop)],
    )
    assert run.stopped
    with pytest.warns(UserWarning, match=FACT):
        mnistgpu.export(run, tmp_path / "model.json")
    assert json.loads((tmp_path / "model.json").read_text())["metadata"]["stopped"] == FACT


@pytest.mark.parametrize("without_labels", [None, 300])
def test_how_far_counts_with_events_and_images_without_labels(small, tmp_path, without_labels):
    """As the trainer does: of a run in this program, and of the checkpoint of another."""
    how = {"layers": "784-10-10", "epochs": 10, "batch_size": 100, "progress": False}
    how["events"] = [
        {"step": 3, "name": "batch_size", "new": 70},
        {"step": 10, "name": "epochs", "new": 20},
    ]
    if without_labels is not None:
        others = read_idx("train-images-idx3-ubyte", 1300)[1000:]  # none of the small set
        np.save(tmp_path / "others.npy", others)
        how |= {"unlabeled": tmp_path / "others.npy", "adversarial": 1.0}
    ask = Ask(stop := mnistgpu.Stop())
    run = mnistgpu.fit(small, stop=stop, on_interrupt="return", callbacks=[ask], **how)
    fact = f"after 20 of {ask.steps} iterations"
    with pytest.warns(UserWarning, match=fact):
        mnistgpu.export(run, tmp_path / "model.json")
    with pytest.raises(mnistgpu.StoppedError):
        mnistgpu.fit(small, out=tmp_path / "run", callbacks=[Interrupt()], **how)
    with pytest.warns(UserWarning, match=fact):
        mnistgpu.export(tmp_path / "run", tmp_path / "again.json")


class Ask(mnistgpu.Callback):
    """Asks for the outcome so far after some steps, as Ctrl-C does in a notebook."""

    def __init__(self, stop):
        self.stop = stop

    def step(self, trainer, progress):
        self.steps = trainer.steps
        if trainer.taken == 20:
            self.stop.wants_outcome = True
            self.stop.interrupt("the test")


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{}")
    done = run_here("export", tmp_path / "run", tmp_path / "model.npz")
    assert done.returncode == 1
    assert "no model here; give a run directory" in runs.one_sentence(done.stderr)
    assert not (tmp_path / "model.npz").exists()


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_replaced_without_force_and_nothing_of_others_with_it(tmp_path, name):
    if name == "model.onnx":
        pytest.importorskip("onnx")
    path = tmp_path / name
    assert run_here("export", "shipped", path).returncode == 0
    before = path.read_bytes()
    done = run_here("export", "shipped", path)
    assert done.returncode == 2
    assert "the file exists; choose another or add --force" in runs.one_sentence(done.stderr)
    assert path.read_bytes() == before
    mnistgpu.export(made(), path, force=True)
    assert path.read_bytes() != before
    path.write_bytes(b"the work of a year")
    done = run_here("export", "shipped", path, "--force")
    assert done.returncode == 2
    assert "is not one this program made" in runs.one_sentence(done.stderr)
    assert path.read_bytes() == b"the work of a year"


def test_files_made_of_an_export_are_not_replaced(tmp_path):
    header = tmp_path / "read.h"
    header.write_text('#include "digits.h"\n/* asks mnistgpu_probabilities(pixels, shares) */\n')
    with pytest.raises(mnistgpu.UsageError, match="is not one this program made"):
        mnistgpu.export(made(), header, force=True)


def test_an_onnx_model_by_another_tool_is_not_replaced(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = mnistgpu.export(made(), tmp_path / "model.onnx")
    model = onnx.load(path)
    model.producer_name = "onnx.quantize"
    onnx.save(model, path)
    with pytest.raises(mnistgpu.UsageError, match="is not one this program made"):
        mnistgpu.export(made(), path, force=True)


@pytest.mark.skipif(os.name != "posix", reason="names of files are text there")
@pytest.mark.parametrize("name", [b"caf\xe9.h", b"caf\xe9.html", b"caf\xe9"])
def test_a_name_that_is_no_text(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system takes text alone")
    path.unlink()
    X, y = np.zeros((2, 28, 28), np.uint8), [0, 1]
    hub = path.suffix == ""
    mnistgpu.export(made(), path, *((X, y) if hub else ()), hub=hub)
    text = (path / "README.md" if hub else path).read_text(encoding="utf-8")
    assert "caf" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model.pt"], r"model.pt: the name must end in one of .onnx, .npz, .json, .h, .html, or"),
        (["model"], "or add --hub for a folder"),
        (["model.safetensors"], "mnistgpu.save writes .safetensors"),
        (["m.onnx", "--input", "float32"], "--input must be uint8 or float, not 'float32'; did"),
        (["m.npz", "--input", "float"], "--input is for .onnx files; leave it out for others"),
        (["m", "--hub", "--input", "float"], "leave it out with --hub"),
        (["m.npz", "--data", "x"], "--data is for the model card of --hub"),
        ([".", "--hub"], "must name a directory of its own"),
        (["no/such/m.npz"], "no such folder"),
    ],
)
def test_wrong_calls_get_one_sentence(tmp_path, arguments, sentence):
    done = run_here("export", "shipped", *arguments, cwd=tmp_path)
    assert done.returncode == (1 if "no such" in sentence else 2)
    assert re.search(re.escape(sentence), runs.one_sentence(done.stderr)), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.json", "m.h", "m.html", "m.npz", "m"])
def test_parameters_that_are_not_finite_are_refused(tmp_path, name):
    """JSON and C have no form of nan, and an older export stays as it is."""
    hub = name == "m"
    digits = (np.zeros((2, 28, 28), np.uint8), [0, 1]) if hub else ()
    mnistgpu.export(made(), tmp_path / name, *digits, hub=hub)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    theta = made().theta.copy()
    theta[5] = np.nan
    with pytest.raises(mnistgpu.RunError, match="the parameters are not finite"):
        mnistgpu.export(replace(made(), theta=theta), tmp_path / name, *digits, hub=hub, force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "m.json").mkdir()
    for force in (False, True):
        with pytest.raises(mnistgpu.UsageError, match="is a folder; give the name of a file"):
            mnistgpu.export(made(), tmp_path / "m.json", force=force)


def test_a_committee_that_deforms_is_refused(tmp_path):
    settings = made().settings | {"rotation": 5.0}
    member = replace(made(), settings=settings)
    together = replace(committee(), members=(member, member), maps=4)
    for path, hub in ((tmp_path / "m.npz", False), (tmp_path / "m", True)):
        with pytest.raises(mnistgpu.UsageError, match="made with --maps 0"):
            mnistgpu.export(together, path, hub=hub)
    assert list(tmp_path.iterdir()) == []


def test_onnx_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(mnistgpu.UsageError, match=r"pip install 'mnistgpu\[onnx\]'"):
        mnistgpu.export("shipped", tmp_path / "m.onnx")


def test_the_command_and_python_write_the_same(tmp_path):
    done = run_here("export", "shipped", tmp_path / "a.json")
    mnistgpu.export(mnistgpu.load("shipped"), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    size = (tmp_path / "a.json").stat().st_size
    assert done.stdout == f"{tmp_path / 'a.json'}: {size:,} bytes\n"


def test_a_run_is_exported_as_it_answers(small, tmp_path):
    run = mnistgpu.fit(small, layers="784-12-10", iterations=10, min_ink=0.05, center=True)
    mnistgpu.export(run, tmp_path / "m.npz")
    images = read_idx("t10k-images-idx3-ubyte", 100)
    with np.load(tmp_path / "m.npz") as file:
        A = np.maximum(images / 255 @ file["W1"].T + file["b1"], 0) @ file["W2"].T + file["b2"]
    assert np.array_equal(A.argmax(axis=1), run.model.predict(images))
