"""Ctrl-C, a Stop and a lost output: what `fit` raises, what it saves, and whose handlers stay."""

import io
import signal
import sys

import numpy as np
import pytest

import mnistgpu
from mnistgpu.runs import checkpoint, run_directory, signals

SMALL = {"layers": "784-16-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}
STEPS = 34  # of SMALL on 810 images


class Interrupt(mnistgpu.Callback):
    """Sends Ctrl-C to this process after these steps; 0 is before the first."""

    def __init__(self, *after):
        self.after = after

    def begin(self, trainer, progress, stop):
        if 0 in self.after:
            signal.raise_signal(signal.SIGINT)

    def step(self, trainer, progress):
        for _ in range(self.after.count(trainer.taken)):
            signal.raise_signal(signal.SIGINT)


class Stopping(mnistgpu.Callback):
    """Asks for an interruption after three steps."""

    def begin(self, trainer, progress, stop):
        self.stop = stop

    def step(self, trainer, progress):
        if trainer.taken == 3:
            self.stop.interrupt("the test")


@pytest.fixture(autouse=True)
def ctrl_c():
    """Python's own handler of Ctrl-C, which a suite begun by nohup does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


@pytest.mark.parametrize(("after", "taken"), [(0, 1), (1, 1), (STEPS - 1, STEPS - 1)])
@pytest.mark.parametrize("stop", [None, mnistgpu.Stop])
def test_ctrl_c_saves_the_run(arrays, tmp_path, after, taken, stop):
    path = tmp_path / "run"
    more = {} if stop is None else {"stop": stop()}
    with pytest.raises(KeyboardInterrupt, match=rf"after iteration {taken} of {STEPS}; go on"):
        mnistgpu.fit(*arrays, **SMALL, out=path, callbacks=[Interrupt(after)], **more)
    assert checkpoint.load(path).taken == taken
    assert mnistgpu.resume(path, *arrays).model == mnistgpu.fit(*arrays, **SMALL).model


def test_ctrl_c_in_the_last_step_comes_after_the_run_is_saved(arrays, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt, match="run: finished and saved"):
        mnistgpu.fit(*arrays, **SMALL, out=path, callbacks=[Interrupt(STEPS)])
    assert {each.name for each in path.iterdir()} == set(run_directory.FILES)
    assert mnistgpu.load(path) == mnistgpu.fit(*arrays, **SMALL).model


def test_a_second_ctrl_c_ends_the_run_at_once(arrays, tmp_path):
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt) as interruption:
        mnistgpu.fit(*arrays, **SMALL, out=path, callbacks=[Interrupt(0, 1)])
    assert str(interruption.value) == ""
    assert {each.name for each in path.iterdir()} <= {"settings.json", "checkpoint.safetensors"}


def test_a_handler_of_the_program_stays(arrays, tmp_path):
    received = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    run = mnistgpu.fit(*arrays, **SMALL, out=tmp_path / "run", callbacks=[Interrupt(3)])
    assert received == [signal.SIGINT]
    assert run.results["iterations"] == STEPS
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_handlers_that_python_did_not_set_stay(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda *arguments: pytest.fail("a handler was set"))
    with signals.stop_on_signals(mnistgpu.Stop()) as received:
        assert received == []
    monkeypatch.undo()


@pytest.mark.parametrize("saved", [False, True])
def test_a_stop_of_a_callback_is_a_stopped_error(arrays, tmp_path, saved):
    more = {"out": tmp_path / "run"} if saved else {}
    with pytest.raises(mnistgpu.StoppedError, match="stopped by the test after iteration 3"):
        mnistgpu.fit(*arrays, **SMALL, callbacks=[Stopping()], **more)
    if saved:
        assert checkpoint.load(tmp_path / "run").taken == 3


class Lost(io.StringIO):
    """An output that can no longer be written, such as a pipe whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


class Silent:
    """An output that is no file: it has `write` and `flush` alone."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def closed():
    """An output that the program has closed."""
    output = io.StringIO()
    output.close()
    return output


@pytest.mark.parametrize("output", [Lost(), closed(), None])
def test_a_lost_output_saves_the_run(arrays, tmp_path, monkeypatch, output):
    monkeypatch.setattr(sys, "stdout", output)
    path = tmp_path / "run"
    with pytest.raises(mnistgpu.StoppedError, match="its output, which cannot be written"):
        mnistgpu.fit(*arrays, **SMALL, out=path, progress=True)
    assert checkpoint.load(path).taken == 1


@pytest.mark.parametrize("output", [Lost(), closed(), None, Silent()])
def test_without_progress_the_output_is_not_needed(arrays, monkeypatch, output):
    monkeypatch.setattr(sys, "stdout", output)
    assert mnistgpu.fit(*arrays, **SMALL).results["iterations"] == STEPS


def test_an_output_with_write_alone_gets_lines(arrays, monkeypatch):
    output = Silent()
    monkeypatch.setattr(sys, "stdout", output)
    mnistgpu.fit(*arrays, **SMALL, progress=True)
    assert output.text.startswith("mnistgpu ")


def test_names_that_the_output_cannot_encode_are_escaped(arrays, tmp_path, monkeypatch):
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, "ascii"))
    mnistgpu.fit(*arrays, **SMALL, out=tmp_path / "caf\u00e9", progress=True)
    assert rb"caf\xe9" in content.getvalue()


def test_an_error_of_a_callback_is_the_callers_and_leaves_no_lock(arrays, tmp_path):
    class Wrong(mnistgpu.Callback):
        def row(self, row, theta):
            raise ZeroDivisionError("mine")

    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="mine"):
            mnistgpu.fit(*arrays, **SMALL, out=tmp_path / "run", callbacks=[Wrong()])
        assert {each.name for each in (tmp_path / "run").iterdir()} == {"settings.json"}


def test_two_runs_of_one_program_do_not_share_a_directory(arrays, tmp_path):
    class Again(mnistgpu.Callback):
        def row(self, row, theta):
            with pytest.raises(mnistgpu.RunError, match="another run"):
                mnistgpu.fit(*arrays, **SMALL, out=tmp_path / "run")

    run = mnistgpu.fit(*arrays, **SMALL, out=tmp_path / "run", callbacks=[Again()])
    assert np.isfinite(run.history[-1].train_loss)
    assert mnistgpu.load(tmp_path / "run") == run.model
