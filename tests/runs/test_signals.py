"""A signal interrupts a run, which is saved; so does an output that cannot be written."""

import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest
from helpers import processes, runs
from helpers.runs import (
    LONG,
    STEPS,
    begun,
    contents,
    ended,
    one_sentence,
    run,
    start,
    wait_for,
)

from mnistgpu.runs import checkpoint, run_directory
from mnistgpu.runs.signals import leave_at_once, stop_on_signals
from mnistgpu.runs.stop import Stop


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(options, uninterrupted, tmp_path, number, status):
    path = tmp_path / "run"
    process = begun(path, *options, "--iterations", STEPS)
    process.send_signal(number)
    returned, errors = ended(process)
    assert returned == status, errors
    sentence = one_sentence(errors)
    assert f"go on with: mnistgpu train --resume {path}" in sentence
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    saved = checkpoint.load(path)
    assert sentence.startswith(f"stopped by {name} after iteration {saved.taken} of {STEPS}")
    assert set(contents(path)) == {"settings.json", checkpoint.FILE}

    done = run("--resume", path)
    assert done.returncode == 0, done.stderr
    assert f"resumed   {path}, after iteration {saved.taken}" in done.stdout
    for name in ("model.safetensors", "settings.json"):
        assert (path / name).read_bytes() == (uninterrupted / name).read_bytes(), name
    ours, theirs = (run_directory.read_history(p / "history.csv") for p in (path, uninterrupted))
    assert ours.pop("seconds") != theirs.pop("seconds")
    assert ours == theirs


@pytest.mark.slow
def test_a_second_signal_leaves_at_once(tmp_path):
    """In the middle of a step that takes many seconds."""
    path = tmp_path / "run"
    process = start("--layers", "784-3000-3000-10", "--iterations", LONG, "--out", path)
    wait_for((path / "settings.json").exists, process)
    time.sleep(0.5)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    while process.poll() is None and time.monotonic() - asked < 5:
        process.send_signal(signal.SIGINT)  # two that arrive within one long product count as one
        time.sleep(0.1)
    process.kill()
    returned, errors = ended(process)
    assert (returned, errors) == (130, "")
    assert time.monotonic() - asked < 5
    assert not (path / checkpoint.FILE).exists()


def test_ignored_signals_stay_ignored():
    """nohup, or a shell's background job."""
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(Stop()):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, old)


@pytest.mark.parametrize(
    ("output", "written"),
    [("terminal", b"\x1b[?25h\n"), ("file", b""), ("none", b"")],
)
def test_leaving_at_once_gives_a_terminal_its_cursor_back(monkeypatch, output, written):
    """The bar of a run hides it. A program without a console has no output at all."""
    left, (reading, writing) = [], os.pipe()
    stream = SimpleNamespace(isatty=lambda: output == "terminal", fileno=lambda: writing)
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(sys, "stdout", None if output == "none" else stream)
    leave_at_once(signal.SIGTERM, None)
    os.close(writing)
    assert (os.read(reading, 100), left) == (written, [143])
    os.close(reading)


@pytest.mark.slow
def test_an_output_without_a_reader(options, uninterrupted, tmp_path):
    path = tmp_path / "run"
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*options, "--iterations", STEPS, "--out", path, stdout=writing)
    os.close(writing)
    returned, errors = ended(process)
    assert returned == 1
    sentence = one_sentence(errors)
    assert sentence.startswith(
        "stopped by its output, which cannot be written (Broken pipe), after"
    )
    done = run("--resume", path)
    assert done.returncode == 0, done.stderr
    name = "model.safetensors"
    assert (path / name).read_bytes() == (uninterrupted / name).read_bytes()


@pytest.mark.slow
def test_an_output_that_is_closed_from_the_start(options, uninterrupted, tmp_path):
    """>&- of a shell: there is no standard output at all."""
    path = tmp_path / "run"
    arguments = runs.command(*options, "--iterations", STEPS, "--out", path)
    shell = ["sh", "-c", 'exec "$@" >&-', "sh"]
    done = processes.run([*shell, *arguments], env=runs.environment())
    assert done.returncode == 1
    sentence = one_sentence(done.stderr)
    assert sentence.startswith("stopped by its output, which cannot be written (Bad file descrip")
    assert checkpoint.load(path).taken >= 1
    resumed = runs.command("--resume", path, "--quiet")
    quiet = processes.run([*shell, *resumed], env=runs.environment())
    assert (quiet.returncode, quiet.stderr) == (0, "")
    name = "model.safetensors"
    assert (path / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_an_output_on_a_full_disk(options, tmp_path):
    with open("/dev/full", "w") as full:
        process = start(*options, "--iterations", STEPS, "--out", tmp_path / "run", stdout=full)
        returned, errors = ended(process)
    assert returned == 1
    assert "No space left on device" in one_sentence(errors)
    assert checkpoint.load(tmp_path / "run").taken >= 1
