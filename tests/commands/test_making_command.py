"""`mnistgpu make-data`: what the command prints, and that it goes on after Ctrl-C and a kill."""

import json
import os
import signal
import sys
import time

import numpy as np
import pytest
from helpers import command, processes
from helpers.command import run_here

from mnistgpu import data
from mnistgpu.data import made


def test_what_it_prints_and_that_it_is_trained_on(tmp_path):
    out, run = tmp_path / "set", tmp_path / "run"
    done = run_here("make-data", "--images", "1500", "--validation", "200", "--out", out)
    assert done.returncode == 0, done.stderr
    digest = made.manifest_of(out).digest
    assert done.stdout == (
        f"1,500 of 1,500 images (100%)\n{out}: whole; the digest of the set is {digest}\n"
    )
    how = ("--layers", "784-16-10", "--batch-size", "50", "--epochs", "2", "--alpha", "0.5")
    done = run_here("train", "--data", out, *how, "--out", run)
    assert done.returncode == 0, done.stderr
    assert f"{out}: its 1,500 training images (1 MB) stay in their files" in done.stdout
    assert "1,500 training, 200 validation, 10,000 test images" in done.stdout
    assert json.loads((run / "results.json").read_text())["test_accuracy"] > 0.5
    done = run_here("train", "--resume", run, "--epochs", "3", "--force")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--images", "0"), "images: must be a whole number from 1"),
        (("--images", "many"), "Input should be a valid integer"),
        (("--deform", "strnog"), "must be one of ciresan, strong, not 'strnog'"),
        (("--out", "."), "--out must name a directory of its own"),
    ],
)
def test_wrong_calls(tmp_path, flags, message):
    done = run_here("make-data", "--out", tmp_path / "set", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "set").exists()


def test_settings_that_need_all_images_are_refused(tmp_path):
    out = tmp_path / "set"
    assert run_here("make-data", "--images", "700", "--out", out).returncode == 0
    for flags, message in (
        ((), "give a --batch-size"),
        (("--batch-size", "100", "--validation", "50"), "validation images are given"),
        (("--batch-size", "100", "--test-share", "0.1"), "test images already"),
        (("--batch-size", "100", "--orientation", "transposed"), "has been made upright"),
    ):
        done = run_here("train", "--data", out, *flags, "--out", tmp_path / "run")
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def first_unit(path, job):
    """Until some of the first shard has been written."""
    part = path / "train-images-00000.npy.part"
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 784 * 8192):
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_and_kill_lose_nothing(tmp_path):
    """Killed again and again at random moments, it ends with the set of one undisturbed run."""
    how = ("--images", "60000", "--out")
    whole = command.run("make-data", *how, str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "killed"
    words = [sys.executable, "-m", "mnistgpu.cli", "make-data", *how, out]
    job = processes.start(words)
    first_unit(out, job)
    job.send_signal(signal.SIGINT)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130, errors
    assert f"{out}: stopped by Ctrl-C after " in errors
    assert errors.endswith("of 60,000 images; the same command goes on\n")
    random = np.random.default_rng(0)
    for _ in range(6):
        job = processes.start(words)
        time.sleep(random.uniform(0.2, 2.5))
        job.kill()
        job.communicate()
    done = command.run("make-data", *how, str(out))
    assert done.returncode == 0, done.stderr
    assert data.load(out).digest == data.load(tmp_path / "whole").digest
    assert sorted(p.name for p in out.iterdir()) == sorted(
        p.name for p in (tmp_path / "whole").iterdir()
    )


def test_two_at_once_are_refused(tmp_path):
    out = tmp_path / "set"
    words = [sys.executable, "-m", "mnistgpu.cli", "make-data", "--images", "200000", "--out", out]
    processes.start(words)
    end = time.monotonic() + 60
    while not (out / ".lock").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    done = run_here("make-data", "--images", "200000", "--out", out)
    assert done.returncode == 1
    assert "is writing there; wait for it" in done.stderr
