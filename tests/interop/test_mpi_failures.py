"""Ranks that are killed, stopped, slow or wrong: the job ends in time, with number and reason."""

import json
import os
import random
import signal
import sys
import time

import numpy as np
import pytest
from helpers import command, processes
from helpers.mpi import ADAM, DIVIDED, SMALL, needs_mpi, processes_of, run, start, wait_for

from mnistgpu.runs import checkpoint

pytestmark = [
    needs_mpi,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the ranks in Linux's /proc"),
]
KILLS = int(os.environ.get("MNISTGPU_RANK_KILLS", "3"))
WITHIN = 10.0  # seconds in which a job must have ended


@pytest.fixture(scope="module")
def few(tmp_path_factory, digits):
    """The first digits as an npz file."""
    images, labels = digits
    path = tmp_path_factory.mktemp("mpi") / "few.npz"
    np.savez(path, x_train=images[:650], y_train=labels[:650])
    return path


def endless(few, out, *more):
    """A command line that trains for long and saves often."""
    saving = ("--checkpoint-every", "1epochs", "--epochs", "100000")
    return ("--data", few, *SMALL, "--out", out, *saving, *more)


def ended(job, within=WITHIN):
    """What a job has printed when it ends, which must be soon, and in failure."""
    began = time.monotonic()
    output, errors = job.communicate(timeout=within + 20)
    assert time.monotonic() - began < within, errors
    assert job.returncode not in (0, None), errors
    return output + errors


def killed(ranks, victim, how, out, wait):
    """What a job has printed of which a rank was killed; by itself mpiexec would end the others."""
    flags, saving = ("-disable-auto-cleanup",), ("--checkpoint-every", "1epochs")
    job = start(ranks, *how, "--out", out, *saving, program=DIVIDED, flags=flags)
    wait_for(out / checkpoint.FILE, job)
    every = processes_of(job, ranks)
    time.sleep(wait)
    os.kill(every[victim], signal.SIGKILL)
    said = ended(job)
    assert processes.have_ended(every, WITHIN)
    assert f"{every[victim]} on " in said  # among the processes by their ranks
    assert checkpoint.load(out).taken % 7 == 0  # whole, at the end of an epoch
    return said


@pytest.mark.parametrize("number", range(KILLS))
def test_a_rank_killed_at_any_moment_ends_the_job_and_the_run_goes_on(number, few, tmp_path):
    """In exact arithmetic: whatever was killed, the resumed run has the same digest.

    Now and then the others are ended before they can say which one is gone: by MPI, which was
    copying from that rank, or by mpiexec all the same. Another one is killed then.
    """
    ranks, chance = 2 + number % 2, random.Random(number)
    how = ("--data", few, *SMALL, *ADAM, "--precision", "exact", "--epochs", "40")
    victim = number % ranks
    for attempt in range(5):
        out = tmp_path / f"run-{attempt}"
        said = killed(ranks, victim, how, out, chance.random() * 0.5)
        if "Fatal error in" not in said and "error: rank" in said:
            break
    assert f"error: rank {victim} has ended without a word" in said
    assert victim == 0 or "keeps the run as it was after iteration" in said
    done = command.run("train", "--resume", str(out))
    assert done.returncode == 0, done.stderr
    one = command.run("train", *map(str, how), "--out", str(tmp_path / "1"))
    assert one.returncode == 0, one.stderr
    results = [json.loads((path / "results.json").read_text()) for path in (out, tmp_path / "1")]
    assert results[0]["digest"] == results[1]["digest"]


@pytest.mark.parametrize(("victim", "seen"), [(1, ""), (0, " (seen by rank 1)")])
def test_a_silent_rank_ends_the_job_after_the_timeout(victim, seen, few, tmp_path):
    out = tmp_path / "run"
    job = start(2, *endless(few, out, "--rank-timeout", "3"))
    wait_for(out / checkpoint.FILE, job)
    every = processes_of(job, 2)
    os.kill(every[victim], signal.SIGSTOP)
    said = ended(job, 3 + WITHIN)
    assert f"error: rank {victim} has given no sign of life for 3 seconds{seen}" in said
    assert processes.have_ended(every, WITHIN)
    assert checkpoint.load(out).taken > 0


SLOW = """
import os, sys, threading, time
from mnistgpu import train
from mnistgpu.engine import distributed
from mnistgpu.reports import run_report

rank = os.environ["PMI_RANK"]
if sys.argv.pop(1) == rank:
    computed, write = distributed.DistributedEngine.computed, run_report.write
    def slowly(self, *arguments):
        time.sleep(1.0)
        return computed(self, *arguments)
    def written(*arguments):
        time.sleep(4.0)
        return write(*arguments)
    distributed.DistributedEngine.computed = slowly
    run_report.write = written
train.main()
"""
RAISES = SLOW.replace("time.sleep(1.0)", "raise ValueError('a mistake')")
OTHER = SLOW.replace("time.sleep(1.0)", "self.theta[3] += 1e-3")
UPDATE = """
import os
from mnistgpu import train
from mnistgpu.engine import divided_update, trainer

divided_update.MANY = 0
update = trainer.Trainer.update
def updated(self, *arguments):
    update(self, *arguments)
    if os.environ["PMI_RANK"] == "1" and self.taken > 14:
        self.theta[int(SHARE * len(self.theta))] += 1e-3
trainer.Trainer.update = updated
train.main()
"""


def started(script, tmp_path, *arguments, ranks=2):
    """A job of ranks that run this text."""
    path = tmp_path / "ranks.py"
    path.write_text(script)
    return start(ranks, *arguments, program=(path,))


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_slow_rank_or_one_busy_with_its_report_is_not_taken_for_dead(rank, few, tmp_path):
    """Each step takes a second, and the report 4, with a timeout of 2."""
    flags = ("--data", few, *SMALL, "--iterations", "3", "--out", tmp_path / "run")
    job = started(SLOW, tmp_path, rank, *flags, "--rank-timeout", "2")
    output, errors = job.communicate(timeout=60)
    assert job.returncode == 0, errors
    assert "accuracy  train" in output
    assert errors == ""


def test_a_rank_that_raises_ends_the_job_with_its_number_and_reason(few, tmp_path):
    job = started(RAISES, tmp_path, "1", *endless(few, tmp_path / "run"), ranks=3)
    said = ended(job, 60)  # with the start of three ranks
    assert "error: rank 1 has failed: ValueError: a mistake" in said


def test_other_parameters_on_one_rank_stop_the_run(few, tmp_path):
    job = started(OTHER, tmp_path, "2", *endless(few, tmp_path / "run"), ranks=3)
    said = ended(job, 60)  # with the start of three ranks
    assert "error: the parameters of rank 2 differ from those of rank 0 after iteration 1" in said


@pytest.mark.parametrize("share", ["0.1", "0.9"])
def test_an_update_that_one_rank_computes_otherwise_stops_the_run(share, few, tmp_path):
    """Though each rank updates a part alone, and all take its values."""
    script = UPDATE.replace("SHARE", share)
    job = started(script, tmp_path, *endless(few, tmp_path / "run", *ADAM))
    said = ended(job, 60)
    assert "error: the parameters of rank 1 differ from those of rank 0 after iteration 21" in said


def test_a_full_disk_of_rank_0_ends_the_job(few, tmp_path):
    script = SLOW.replace("time.sleep(1.0)", "pass").replace(
        "train.main()",
        "from mnistgpu.runs import checkpoint\n"
        "def full(*a): raise OSError(28, 'No space left on device')\n"
        "checkpoint.save = full\ntrain.main()",
    )
    job = started(script, tmp_path, "0", *endless(few, tmp_path / "run"))
    said = ended(job, 60)
    assert "No space left on device" in said


def test_a_job_whose_mpiexec_is_killed_leaves_no_ranks(few, tmp_path):
    out = tmp_path / "run"
    job = start(2, *endless(few, out, "--rank-timeout", "3"))
    wait_for(out / checkpoint.FILE, job)
    every = processes_of(job, 2)
    job.kill()
    assert processes.have_ended(every, WITHIN)


def test_a_second_job_in_the_same_directory_is_refused(few, tmp_path):
    out = tmp_path / "run"
    job = start(2, *endless(few, out))
    wait_for(out / checkpoint.FILE, job)
    done = run(2, *endless(few, out))
    assert done.returncode != 0
    assert done.stderr.count("error:") == 1
    assert "Abort" not in done.stderr
    job.send_signal(signal.SIGINT)
    job.communicate(timeout=60)
    assert job.returncode == 130


def test_a_signal_to_one_rank_saves_and_ends_all_after_the_same_step(few, tmp_path):
    out = tmp_path / "run"
    job = start(3, *endless(few, out))
    wait_for(out / checkpoint.FILE, job)
    every = processes_of(job, 3)
    before = checkpoint.load(out).taken
    os.kill(every[1], signal.SIGTERM)
    said = ended(job)
    assert job.returncode == 143
    assert said.count("stopped by a signal to another rank after iteration") == 1
    assert checkpoint.load(out).taken >= before
    assert processes.have_ended(every, WITHIN)
