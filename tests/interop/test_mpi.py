"""Training under a real mpiexec: two and three ranks give what one process gives."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import command, processes
from helpers.mpi import (
    ADAM,
    DIVIDED,
    MPIEXEC,
    SMALL,
    environment,
    needs_mpi,
    processes_of,
    run,
    start,
    wait_for,
)

from mnistgpu.models import model
from mnistgpu.runs import checkpoint, run_directory

pytestmark = [needs_mpi, pytest.mark.slow]


@pytest.fixture(scope="module")
def few(tmp_path_factory, digits):
    """The first digits as an npz file."""
    images, labels = digits
    path = tmp_path_factory.mktemp("mpi") / "few.npz"
    np.savez(
        path,
        x_train=images[:650],
        y_train=labels[:650],
        x_test=images[650:900],
        y_test=labels[650:900],
    )
    return path


def theta(path):
    return model.load(path / "model.safetensors").theta


def losses(path):
    return run_directory.read_history(path / "history.csv")["train_loss"]


def test_two_and_three_ranks_give_what_one_process_gives(few, tmp_path):
    """100 steps, every seventh of 50 images; a fixed number of ranks repeats its bits."""
    how = ("--data", few, *SMALL, "--hidden-dropout", "0.1", "--iterations", "100")
    one = command.run("train", *map(str, how), "--out", str(tmp_path / "1"))
    assert one.returncode == 0, one.stderr
    for name, ranks in (("2", 2), ("3", 3), ("3 again", 3)):
        done = run(ranks, *how, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("accuracy  train") == 1  # rank 0 alone prints
        assert f"ranks     {ranks}, by the communicator mpi; on one machine" in done.stdout
        assert run_directory.is_whole(tmp_path / name)
        scale = np.abs(theta(tmp_path / "1")).max()
        assert np.abs(theta(tmp_path / name) - theta(tmp_path / "1")).max() < 1e-3 * scale
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "1"), rel=1e-4)
    assert theta(tmp_path / "3").tobytes() == theta(tmp_path / "3 again").tobytes()


def test_exact_ranks_give_the_bits_of_one_process_also_if_their_number_changes(few, tmp_path):
    how = ("--data", few, *SMALL, "--precision", "exact", "--epochs", "3")
    one = command.run("train", *map(str, how), "--out", str(tmp_path / "1"))
    assert one.returncode == 0, one.stderr
    expected = json.loads((tmp_path / "1" / "results.json").read_text())
    done = run(3, *how, "--out", tmp_path / "3", "--profile")
    assert done.returncode == 0, done.stderr
    assert "profile   compute " in done.stdout
    found = json.loads((tmp_path / "3" / "results.json").read_text())
    for name in ("digest", "digests", "test_accuracy", "train_accuracy", "train_loss"):
        assert found[name] == expected[name]


def test_ctrl_c_saves_and_another_number_of_ranks_goes_on(few, tmp_path):
    """mpiexec hands the signal on; in exact arithmetic the resumed run ends at the same digest.

    Each rank has a part of what Adam remembers, also when the time for a checkpoint has come.
    """
    out = tmp_path / "run"
    how = ("--data", few, *SMALL, *ADAM, "--precision", "exact", "--epochs", "60")
    job = start(2, *how, "--out", out, "--checkpoint-every", "0.1s", program=DIVIDED)
    wait_for(out / checkpoint.FILE, job)
    job.send_signal(2)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130, errors
    assert errors.count("stopped by Ctrl-C after iteration") == 1
    taken = checkpoint.load(out).taken
    done = run(3, "--resume", out, program=DIVIDED)
    assert done.returncode == 0, done.stderr
    assert f"resumed   {out}, after iteration {taken:,}" in done.stdout
    one = command.run("train", *map(str, how), "--out", str(tmp_path / "1"))
    assert one.returncode == 0
    results = [json.loads((path / "results.json").read_text()) for path in (out, tmp_path / "1")]
    assert results[0]["digest"] == results[1]["digest"]


def mixed(*commands, **more):
    """A job in which each rank has a command line of its own."""
    words = []
    for each in commands:
        words += [":"] if words else []
        words += ["-n", "1", sys.executable, "-m", "mnistgpu.train", *map(str, each)]
    return processes.run([MPIEXEC, *words], env=environment(**more))


def test_ranks_with_other_data_settings_or_versions_are_refused(few, tmp_path):
    out = ("--out", tmp_path / "run", "--iterations", "3")
    done = mixed(out, (*out, "--data", few))
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1
    assert "rank 1 has other data than rank 0" in done.stderr
    done = mixed(out, out, (*out, "--seed", "4"))
    assert done.returncode == 2
    assert "rank 2 has other settings than rank 0" in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_error_of_all_ranks_is_printed_once_and_of_one_rank_with_its_number(few, tmp_path):
    done = run(3, "--recipe", "nope")
    assert done.returncode == 2
    assert done.stderr.count("--recipe must be one of") == 1
    assert "Abort" not in done.stderr
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("mine")
    done = run(2, "--data", few, "--out", tmp_path / "run", "--iterations", "3")
    assert done.returncode == 2
    assert done.stderr.count("is not a file that mnistgpu wrote") == 1
    done = run(2, "--data", tmp_path / "none.npz")
    assert done.returncode == 1
    assert done.stderr.count("error:") == 1
    done = mixed(("--iterations", "3", "--out", tmp_path / "x"), ("--itertions", "3"))
    assert done.returncode == 2
    assert "error: rank 1 has failed: No such option: --itertions" in done.stderr


def test_a_run_that_diverges_ends_on_all_ranks(few, tmp_path):
    done = run(
        3, "--data", few, *SMALL, "--alpha", "1e30", "--epochs", "2", "--out", tmp_path / "r"
    )
    assert done.returncode == 1
    assert done.stderr.count("training diverged") == 1
    assert "Abort" not in done.stderr


def test_the_profile_and_the_communicator_need_ranks(few):
    for flags in (("--profile",), ("--rank-timeout", "5"), ("--communicator", "mpi")):
        done = command.run_here("train", "--data", few, *flags)
        assert done.returncode == 2
        assert "needs ranks: start them by mpiexec" in done.stderr
    assert (
        "must be one of mpi, nccl, self"
        in command.run_here("train", "--communicator", "tcp").stderr
    )


def test_the_communicator_self_is_one_rank(few, tmp_path):
    flags = ("--data", few, *SMALL, "--epochs", "1", "--out", tmp_path / "run")
    done = command.run_here("train", *flags, "--communicator", "self", "--profile")
    assert done.returncode == 0, done.stderr
    assert "profile   compute" in done.stdout
    more = ("--epochs", "2", "--out", tmp_path / "longer")
    alone = command.run_here("train", "--resume", tmp_path / "run", *more)
    assert "rounding  from here on as on" in alone.stdout, alone.stderr  # other steps
    assert "steps on 1 rank\n" in alone.stdout


def test_without_the_extra_rank_0_says_so_in_one_sentence(tmp_path):
    """Not as many runs as there are ranks, which overwrite each other."""
    (tmp_path / "mpi4py.py").write_text("raise ImportError('hidden by a test')")
    done = run(3, "--out", tmp_path / "run", PYTHONPATH=f"{tmp_path}:{environment()['PYTHONPATH']}")
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "pip install 'mnistgpu[mpi]'" in done.stderr
    assert not (tmp_path / "run").exists()


SCRIPT = """
import sys, numpy as np, mnistgpu
digits = mnistgpu.load_data(sys.argv[1]).train
run = mnistgpu.fit(
    digits.images, digits.labels, layers="784-8-10", epochs=1, batch_size=50, validation=0,
    ranks="mpi", out=sys.argv[2],
)
if len(sys.argv) > 3 and run.directory is None:
    raise ValueError("a mistake in a script")
"""


def test_a_script_of_ones_own(few, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = run(2, few, tmp_path / "run", program=(script,))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "results.json").exists()
    done = run(2, few, tmp_path / "other", "fail", program=(script,))
    assert done.returncode == 1
    assert "error: rank 1 has failed: ValueError: a mistake in a script" in done.stderr


CALLBACK = """
import os, sys, mnistgpu
class End(mnistgpu.Callback):
    def begin(self, trainer, progress, stop):
        self.stop = stop
    def row(self, row, theta):
        if os.environ["PMI_RANK"] == "0" and row.epoch >= 2:
            self.stop.finish()
run = mnistgpu.fit(sys.argv[1], epochs=5, batch_size=100, ranks="mpi", callbacks=[End()])
open(sys.argv[2] + os.environ["PMI_RANK"], "w").write(f"{run.history[-1].epoch} {run.digest}")
"""


def test_a_callback_of_one_rank_finishes_the_run_on_all(few, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CALLBACK)
    done = run(2, few, tmp_path / "rank-", program=(script,))
    assert done.returncode == 0, done.stderr
    found = [(tmp_path / f"rank-{rank}").read_text() for rank in range(2)]
    assert found[0] == found[1]
    assert found[0].startswith("2.0 ")


def test_no_rank_starts_a_process_of_its_own(tmp_path):
    """Fork after MPI has begun is unsafe; `strong` would share its steps with forked workers."""
    out = tmp_path / "run"
    job = start(2, "--recipe", "strong", "--out", out, "--checkpoint-every", "0.1s")
    ranks = processes_of(job, 2)
    wait_for(out / checkpoint.FILE, job)
    for rank in ranks:
        children = subprocess.run(["pgrep", "-P", str(rank)], capture_output=True, text=True)
        assert children.stdout == ""
    job.kill()


SWEEP = ("sweep", "--layers", "784-8-10", "--batch-size", "100", "--validation", "0")


def test_a_sweep_has_one_run_on_each_rank_at_a_time(few, tmp_path):
    """A table of all runs; the same command goes on, also on another number of ranks."""
    how = (*SWEEP, "--data", few, "--epochs", "2", "--alpha", "0.1,0.2,1e30", "--seed", "0,1")
    done = run(3, *how, "--out", tmp_path / "all", program=("-m", "mnistgpu.cli"))
    assert done.returncode == 1  # two runs diverge
    assert done.stdout.count("finished") == 4
    assert done.stdout.count("failed") == 2
    assert done.stderr.count("training diverged") == 2
    assert "all of 6 runs" in done.stdout
    assert len(list((tmp_path / "all").glob("*/results.json"))) == 4
    done = run(2, *how, "--out", tmp_path / "all", program=("-m", "mnistgpu.cli"))
    assert done.stdout.count("finished before") == 4


def test_a_sweep_that_is_stopped_saves_every_run_and_goes_on(few, tmp_path):
    how = (*SWEEP, "--data", few, "--epochs", "1000", "--seed", "0,1,2,3", "--out", tmp_path)
    saving = ("--checkpoint-every", "1epochs")
    job = start(2, *how, *saving, program=("-m", "mnistgpu.cli"))
    for seed in (0, 1):
        wait_for(tmp_path / f"seed-{seed}" / checkpoint.FILE, job)
    job.send_signal(2)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130, errors
    assert errors.count("go on with: ") == 1
    for seed in (0, 1):
        assert checkpoint.load(tmp_path / f"seed-{seed}").taken > 0
    assert not (tmp_path / "seed-2").exists()


def test_a_rank_without_a_run_left_ends_with_those_that_are_stopped(few, tmp_path):
    """It waits for the others in MPI, where it does not see Ctrl-C."""
    how = (*SWEEP, "--data", few, "--epochs", "1,100000", "--out", tmp_path)
    job = start(2, *how, "--checkpoint-every", "1epochs", program=("-m", "mnistgpu.cli"))
    wait_for(tmp_path / "epochs-1" / "report.png", job)
    wait_for(tmp_path / "epochs-100000" / checkpoint.FILE, job)
    time.sleep(0.5)
    job.send_signal(2)
    printed, errors = job.communicate(timeout=60)
    assert job.returncode == 130, errors
    assert errors.count("run 2 of 2") == errors.count("go on with: ") == 1
    assert printed.count("finished") == 1
    assert checkpoint.load(tmp_path / "epochs-100000").taken > 0


def test_other_commands_are_refused_on_ranks(tmp_path):
    done = run(2, "recipes", program=("-m", "mnistgpu.cli"))
    assert done.returncode == 2
    assert done.stderr.count("error: mnistgpu recipes is for one process") == 1
