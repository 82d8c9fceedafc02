"""kill -9 at random moments, again and again: a run on real MNIST ends with the same bits.

A process is killed while it trains and saves after every step, the next one resumes it and is
killed too, until KILLS kills have been survived; the last one finishes. Its model must be, to the
byte, that of an undisturbed run.
"""

import os
import random
import signal
import time

import pytest
from helpers.runs import run, start

from mnistgpu.runs import checkpoint, run_directory

KILLS = int(os.environ.get("MNISTGPU_KILLS", "110"))
ENDINGS = 10  # kills between the last step and the last file
SECONDS = 0.12  # at most, from when a process has begun to save until it is killed
STEPS = 4000
OPTIONS = (
    *("--recipe", "fast", "--layers", "784-16-10", "--batch-size", 32, "--iterations", STEPS),
    *("--hidden-dropout", 0.2, "--validation", 1000, "--early-stopping", 9, "--ema", 0.99),
)


def state_of(path):
    """What tells one checkpoint from another, without reading it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


@pytest.mark.slow
def test_kills_at_random_moments(tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "run"
    assert run(*OPTIONS, "--out", whole).returncode == 0
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    saved, file = None, path / checkpoint.FILE
    kills = torn = last = finished = 0
    while kills < KILLS:
        before = state_of(file)
        arguments = ("--resume", path) if saved else (*OPTIONS, "--out", path)
        process = start(*arguments, "--checkpoint-every", "0s")
        while state_of(file) == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, SECONDS))
        process.kill()
        output, errors = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), (seed, kills, errors)
        kills += process.returncode != 0
        torn += any(name.startswith(f".{checkpoint.FILE}.") for name in os.listdir(path))
        if saved:
            said = f"resumed   {path}, after iteration {saved.taken:,}"
            if saved.progress.finished:  # killed after its last file
                said = f"after iteration {saved.taken:,}"
            assert said in output or process.returncode, (seed, kills, output)
        earlier, saved = saved, checkpoint.load(path)  # always whole
        assert earlier is None or saved.taken >= earlier.taken, (seed, kills)
        last += saved.progress.finished
        if process.returncode == 0:  # quicker than its killer: begin again
            finished += 1
            check_same(path, whole)
            for name in run_directory.FILES:
                (path / name).unlink()
            saved = None
    if saved is None:
        assert run(*OPTIONS, "--out", path).returncode == 0
    else:
        done = run("--resume", path)
        assert done.returncode == 0, done.stderr
    check_same(path, whole)
    assert set(os.listdir(path)) == set(run_directory.FILES)
    print(
        f"seed {seed}: {kills} kills survived, {torn} of them in the middle of a write and {last} "
        f"after the last step; {finished + 1} runs of {STEPS} steps ended with the same bits"
    )


@pytest.mark.slow
def test_kills_while_the_run_is_written(tmp_path):
    """From the last step to the last file: each kill leaves a run that --resume finishes."""
    whole, path = tmp_path / "whole", tmp_path / "run"
    options = (*OPTIONS, "--iterations", 50)
    process = begun(whole, options)
    last_step = time.monotonic()
    assert process.communicate()[1] == ""
    ending = time.monotonic() - last_step
    seen, finished = set(), 0
    for moment in range(ENDINGS):
        for name in os.listdir(path) if path.exists() else ():
            (path / name).unlink()
        process = begun(path, options)
        time.sleep(ending * (moment / ENDINGS) ** 3)  # for the files come early, the picture late
        process.kill()
        process.communicate()
        seen.add(frozenset(name for name in os.listdir(path) if not name.startswith(".")))
        assert checkpoint.load(path).progress.finished
        done = run("--resume", path)
        assert done.returncode == 0, done.stderr
        finished += "nothing to do" in done.stdout
        check_same(path, whole)
    print(
        f"{ENDINGS} kills survived, in {len(seen)} different states of the directory, {finished} "
        "of them finished"
    )
    assert len(seen) > 1


def begun(path, options):
    """A process that has taken its last step and begins to write."""
    process = start(*options, "--out", path)
    while not (path / checkpoint.FILE).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.0005)
    return process


def check_same(path, whole):
    """The same parameters, settings and history; only the time it took may differ."""
    for name in ("model.safetensors", "settings.json"):
        assert (path / name).read_bytes() == (whole / name).read_bytes(), name
    ours, theirs = (run_directory.read_history(p / "history.csv") for p in (path, whole))
    del ours["seconds"], theirs["seconds"]
    assert repr(ours) == repr(theirs)
