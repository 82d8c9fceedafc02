"""Steps shared among processes are the steps of one, and nothing is left of the processes."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from runs import one_sentence, run, start, wait_for

from mnistgpu import (
    checkpoint,
    data,
    engine,
    optimizers,
    share_units,
    sharing,
    signals,
    team,
    threads,
    training,
)
from mnistgpu.activations import ACTIVATIONS
from mnistgpu.backend import NUMPY
from mnistgpu.errors import RunError
from mnistgpu.settings import Settings

pytestmark = pytest.mark.skipif(not team.is_possible(), reason="no forked processes compute here")

BASE = Settings(init="he", validation=0, iterations=10**6)
BY_UNITS = {
    "plain": {"layers": "784-16-10", "batch_size": 64},
    "deep": {"layers": "784-12-9-7-10", "batch_size": 64},
    "adam": {"layers": "784-11-8-10", "batch_size": 300, "optimizer": "adam"},
    "decayed": {"layers": "784-16-10", "batch_size": 64, "weight_decay": 0.1, "l2": 0.01},
    "pixels": {"layers": "784-12-10", "batch_size": 8, "min_ink": 0.0004},
    "centred": {"layers": "784-16-10", "batch_size": 64, "center": True},
    "both": {"layers": "784-120-10", "batch_size": 64, "min_ink": 0.02, "center": True},
    "averaged": {"layers": "784-16-10", "batch_size": 64, "ema": 0.9, "label_smoothing": 0.1},
    "momentum": {"layers": "784-16-12-10", "batch_size": 64, "optimizer": "nesterov"},
}
BY_IMAGES = {  # of 5,000; the last batch of an epoch is short, and may have fewer shards
    "full": {"layers": "784-10-10"},
    "short": {"layers": "784-12-10", "batch_size": 3500, "optimizer": "momentum"},
    "noise": {"layers": "784-12-9-10", "batch_size": 1600, "input_noise": 0.3, "hidden_noise": 0.3},
    "normal": {"layers": "784-12-9-10", "batch_size": 1800, "batch_norm": True},
    "more normal": {"layers": "784-9-10", "batch_size": 3300, "batch_norm": True, "center": True},
    "dropped": {"layers": "784-12-10", "batch_size": 1600, "hidden_dropout": 0.3, "ema": 0.9},
    "deformed": {
        "layers": "784-12-10",
        "batch_size": 1600,
        "rotation": 10.0,
        "optimizer": "adam",
        "clean_ending": 0.5,
        "min_ink": 0.02,
        "iterations": 10,
    },
    "tanh": {"layers": "784-12-10", "batch_size": 1200, "activation": "tanh"},
}


@pytest.fixture
def train(digits):
    return data.Digits(*digits, "the first digits")


@pytest.fixture
def many(digits):
    images, labels = digits
    rows = np.arange(5000) % len(labels)
    return data.Digits(images[rows], labels[rows], "the first digits again and again")


def after(settings, train, count, steps, workers=None, most=1):
    """What a trainer holds after so many steps by `count` processes, and what they told."""
    trainer = training.Trainer(settings, train, NUMPY, workers)
    trainer.engine.processes = count
    told = []
    with trainer.engine.running(), sharing.stepping(trainer) as step:
        while trainer.taken < steps:
            loss, right, images = step(most=min(most, steps - trainer.taken))
            told.append((float(loss), int(right), images))
        inside = trainer.vectors()
    for name, values in inside.items():
        assert np.array_equal(values, trainer.arrays()[name])
    return inside | {"plain": trainer.plain()}, told, trainer.learning_rate


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("case", BY_UNITS)
def test_units_shared_change_nothing_but_rounding(train, case, count):
    settings = BASE.changed(**BY_UNITS[case], precision="float64", schedule="linear")
    # with the short batches of two epochs, but not so many that rounding grows
    steps = min(100, 2 * -(-len(train) // settings.batch_size) + 1)
    alone, told, rate = after(settings, train, 1, steps)
    shared, told_shared, rate_shared = after(settings, train, count, steps)
    assert alone.keys() == shared.keys()
    assert rate == rate_shared
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(told_shared, told, rtol=1e-9)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
def test_wide_networks_with_other_activations_are_shared_too(train, activation, monkeypatch):
    monkeypatch.setattr(engine, "WIDE_UNITS", 5)
    settings = BASE.changed(layers="784-16-12-10", batch_size=64, activation=activation)
    settings = settings.changed(precision="float64", learning_rate=0.05)
    alone, told, _ = after(settings, train, 1, 40)
    shared, told_shared, _ = after(settings, train, 2, 40, most=40)
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(np.sum(told_shared, axis=0), np.sum(told, axis=0), rtol=1e-9)


def test_a_stop_waits_for_few_steps(train):
    """For those of 512 images, and of large networks for fewer."""
    together = []
    for layers, batch in (("784-128-10", 32), ("784-128-10", 1), ("784-2500-2000-10", 1)):
        settings = BASE.changed(layers=layers, batch_size=batch)
        trainer = training.Trainer(settings, train, NUMPY)
        together.append(share_units.UnitShares(trainer, team.Team(2)).together)
    assert together == [16, 164, 2]


@pytest.mark.parametrize("case", BY_UNITS)
def test_steps_taken_together_are_those_taken_one_by_one(train, case):
    """To the bit; with short batches in between, and ends of epochs, which no steps go across."""
    settings = BASE.changed(**BY_UNITS[case], schedule="linear", iterations=100)
    settings = settings.changed(batch_size=min(settings.batch_size, 150))
    one_by_one, told, rate = after(settings, train, 2, 75)
    together, told_together, rate_together = after(settings, train, 2, 75, most=75)
    assert rate == rate_together
    assert all(np.array_equal(together[name], one_by_one[name]) for name in one_by_one)
    per_epoch, most = -(-len(train) // settings.batch_size), 512 // settings.batch_size
    assert len(told_together) == sum(
        -(-min(per_epoch, 75 - first) // most) for first in range(0, 75, per_epoch)
    )
    np.testing.assert_allclose(np.sum(told_together, axis=0), np.sum(told, axis=0), rtol=1e-6)


@pytest.mark.parametrize("case", ["plain", "deep"])
@pytest.mark.parametrize("late", [0, 1])
def test_nobody_writes_before_all_have_read(train, case, late, monkeypatch):
    settings, meet = BASE.changed(**BY_UNITS[case]), team.Team.meet

    def slowly(self):
        meet(self)
        if self.rank == late:
            time.sleep(0.002)

    expected = after(settings, train, 2, 16, most=16)
    monkeypatch.setattr(team.Team, "meet", slowly)
    found = after(settings, train, 2, 16, most=16)
    assert found[1:] == expected[1:]
    assert all(np.array_equal(values, expected[0][name]) for name, values in found[0].items())


def test_steps_taken_together_end_where_they_would_without_a_pause(train):
    """So that losses are added up in the same order, and are the same to the bit."""
    trainer = training.Trainer(BASE.changed(**BY_UNITS["plain"]), train, NUMPY)
    trainer.engine.processes, ends = 2, []
    with trainer.engine.running(), sharing.stepping(trainer) as step:
        for most in (1, 99, 3, 99, 99, 99, 2, 99):
            step(most=most)
            ends.append(trainer.taken)
    assert ends == [1, 8, 11, 16, 24, 32, 34, 40]


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("case", BY_IMAGES)
def test_images_shared_give_the_bits_of_threads(many, case, workers):
    settings = BASE.changed(**BY_IMAGES[case])
    assert len(training.Trainer(settings, many, NUMPY, workers).engine.shards) == workers
    by_threads = after(settings, many, 1, 10, workers)
    by_processes = after(settings, many, workers, 10, workers)
    assert by_threads[1:] == by_processes[1:]
    for name, values in by_threads[0].items():
        assert np.array_equal(by_processes[0][name], values), name


@pytest.mark.parametrize("case", ["plain", "adam"])
def test_shared_steps_are_repeated_to_the_bit(train, case):
    settings = BASE.changed(**BY_UNITS[case])
    first, told, _ = after(settings, train, 2, 20)
    again, told_again, _ = after(settings, train, 2, 20)
    assert told == told_again
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_blank_pixels_are_left_out_unless_something_hides_them(train):
    """So that the cases above have both: batches of all pixels, and of some."""
    left_out = {}
    for case, changes in BY_UNITS.items():
        trainer = training.Trainer(BASE.changed(**changes), train, NUMPY)
        steps = share_units.UnitSteps(share_units.UnitShares(trainer, team.Team(2)))
        size, rows = trainer.batches.size, trainer.batches.rows(0, 5)
        starts = range(0, len(rows), size)
        left_out[case] = {0} if steps.sorted is None else set(steps.sorted.blank_in(rows, starts))
    assert left_out.pop("centred") == left_out.pop("both") == {0}
    assert all(min(counts) > 0 for counts in left_out.values()), left_out
    assert len(left_out["plain"]) > 1


def test_what_belongs_to_an_image_lies_in_one_piece(train):
    """A tenth of a step."""
    settings = BASE.changed(**BY_UNITS["deep"])
    trainer = training.Trainer(settings, train, NUMPY)
    shard = share_units.UnitSteps(share_units.UnitShares(trainer, team.Team(2))).shard
    buffers = shard.new_buffers(64)
    of_images = [*buffers.Z[:-1], *buffers.dZ, *buffers.activations, *chain(*buffers.errors)]
    of_images += buffers.sums[:-1]
    assert len(of_images) == 3 + 3 + 2 + 2 * 2 + 3
    assert all(each.flags.f_contiguous and each.shape[1] == 64 for each in of_images)
    assert shard.params[0][0].flags.f_contiguous


def slowly(settings):
    """The optimiser of these settings, late in every process but this one."""
    here, usual = os.getpid(), optimizers.OPTIMIZERS[settings.optimizer]

    def apply(*arguments):
        if os.getpid() != here:
            time.sleep(0.02)
        usual.apply(*arguments)

    return replace(usual, apply=apply)


@pytest.mark.parametrize("changes", [BY_UNITS["adam"], BY_IMAGES["full"]])
def test_a_step_is_over_when_all_have_taken_it(train, changes, monkeypatch):
    settings = BASE.changed(**changes)
    expected = after(settings, train, 2, 3, 2)
    monkeypatch.setitem(optimizers.OPTIMIZERS, settings.optimizer, slowly(settings))
    found = after(settings, train, 2, 3, 2)
    assert found[1:] == expected[1:]
    assert all(np.array_equal(values, expected[0][name]) for name, values in found[0].items())


def test_all_take_the_step_that_the_trainer_is_at(train):
    thetas = []
    for count in (1, 2):
        settings = BASE.changed(**BY_UNITS["adam"], precision="float64")
        trainer = training.Trainer(settings, train, NUMPY)
        trainer.engine.processes = count
        with trainer.engine.running(), sharing.stepping(trainer) as step:
            step()
            trainer.taken = 4
            step(0.003)
            assert trainer.learning_rate == 0.003
        thetas.append(trainer.theta)
    np.testing.assert_allclose(*thetas, rtol=1e-8)


def processes_for(train, workers=4, **changes):
    return training.Trainer(BASE.changed(**changes), train, NUMPY, workers).engine.processes


def test_which_steps_are_shared(train):
    wide = {"layers": "784-512-10", "batch_size": 64}
    assert processes_for(train, **wide) == 4
    assert processes_for(train, **wide, workers=99) == 16
    assert processes_for(train, layers="784-512-10", workers=99) == 2  # as many as there are shards
    assert processes_for(train, **wide, workers=1) == 1
    assert (
        processes_for(train, layers="784-128-10", batch_size=32) == 3
    )  # for more, too little work
    assert processes_for(train, layers="784-48-10", batch_size=1000) == 3  # or units
    assert processes_for(train, layers="784-30-10", batch_size=1000) == 1
    assert processes_for(train, layers="784-10", batch_size=1000) == 1  # no hidden units
    assert processes_for(train, layers="784-10-10", workers=2) == 2  # by images
    assert processes_for(train, **wide, weight_decay=0.1) == 4
    for one_for_all in ({"clip_norm": 1.0}, {"max_norm": 3.0}):
        assert processes_for(train, **wide, **one_for_all) == 1
        assert processes_for(train, layers="784-10-10", **one_for_all) == 1
    assert processes_for(train, layers="784-10-10", l2=0.1) == 1
    assert processes_for(train, layers="784-10-10", weight_decay=0.1) == 1
    assert processes_for(train, **wide, hidden_noise=0.1) == 2  # by images: two shards


def test_nothing_is_shared_where_nobody_can_be_forked(train, monkeypatch):
    monkeypatch.setattr(sharing, "is_possible", lambda: False)
    assert processes_for(train, layers="784-512-10", batch_size=64) == 1


def children(process=None):
    """The processes that a process, or this one, has started and that have not ended."""
    process = process or os.getpid()
    with open(f"/proc/{process}/task/{process}/children") as listed:
        return [int(each) for each in listed.read().split()]


def others(before):
    """The processes that this one has started since it had started those."""
    return [each for each in children() if each not in before]


def test_a_failed_step_leaves_no_process_and_blas_its_threads(train):
    before, processes = threads._blas().info(), children()
    trainer = training.Trainer(BASE.changed(**BY_UNITS["plain"]), train, NUMPY)
    trainer.engine.processes = 2
    with (
        pytest.raises(ZeroDivisionError),
        trainer.engine.running(),
        sharing.stepping(trainer) as step,
    ):
        step()
        assert len(others(processes)) == 1
        blas = [each for each in threads._blas().info() if each["user_api"] == "blas"]
        assert {each["num_threads"] for each in blas} == {1}
        raise ZeroDivisionError
    assert children() == processes
    assert threads._blas().info() == before


def test_a_process_that_is_killed_ends_the_run_with_a_sentence(train):
    trainer = training.Trainer(BASE.changed(**BY_UNITS["plain"]), train, NUMPY)
    trainer.engine.processes, before = 3, children()
    with trainer.engine.running(), sharing.stepping(trainer) as step:
        step()
        taken = trainer.vectors()["theta"]
        os.kill(others(before)[1], signal.SIGKILL)
        with pytest.raises(RunError, match=r"one of the 3 processes .*killed by signal 9"):
            step()
        with pytest.raises(RunError, match="broken off"):
            step()
    assert children() == before
    assert np.array_equal(trainer.theta, taken)
    assert trainer.taken == 1


@pytest.mark.parametrize(
    ("error", "raised"), [(MemoryError("much"), MemoryError), (ValueError("so"), RunError)]
)
def test_an_error_in_another_process_reaches_this_one(error, raised):
    group = team.Team(2)

    def begin():
        def work():
            if group.rank == 1:
                raise error
            group.meet()

        return work

    with pytest.raises(raised, match=str(error)), group.working(begin):
        begin()()


def test_a_stop_is_not_heard_by_other_processes(train):
    trainer = training.Trainer(BASE.changed(**BY_UNITS["plain"]), train, NUMPY)
    trainer.engine.processes, before = 2, children()
    with trainer.engine.running(), sharing.stepping(trainer) as step:
        for number in signals.SIGNALS:
            os.kill(others(before)[0], number)
        losses = [step()[0] for _ in range(3)]
        assert len(others(before)) == 1
    assert len(set(map(float, losses))) == 3  # each of its own step, also when kept


def test_steps_are_shared_outside_the_main_thread(train):
    settings = BASE.changed(**BY_UNITS["plain"])
    with ThreadPoolExecutor(1) as thread:
        there = thread.submit(after, settings, train, 2, 5).result()
    here = after(settings, train, 2, 5)
    assert there[1:] == here[1:]


def test_where_no_process_can_be_started_a_sentence_says_so(train, monkeypatch):
    def full():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    trainer = training.Trainer(BASE.changed(**BY_UNITS["plain"]), train, NUMPY)
    trainer.engine.processes = 2
    refused = pytest.raises(RunError, match=r"temporarily unavailable.*end some programs")
    with refused, sharing.stepping(trainer):
        pass


def test_where_there_is_no_room_to_meet_a_sentence_says_so(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.context.BaseContext.Semaphore", full)
    with pytest.raises(RunError, match=r"3 processes cannot meet .*No space left.*/dev/shm"):
        team.Team(3)
    team.is_possible.cache_clear()
    assert not team.is_possible()
    monkeypatch.undo()
    team.is_possible.cache_clear()
    assert team.is_possible()


def test_a_container_with_less_time_has_fewer_cores(monkeypatch):
    texts = {"/proc/self/cgroup": "1:cpu:/x\n0::/mine\n"}
    monkeypatch.setattr(threads.Path, "read_text", lambda path: texts[str(path)])
    found = []
    for limit in ("max 100000", "150000 100000", "50000 100000", "6400000 100000", "odd"):
        texts["/sys/fs/cgroup/mine/cpu.max"] = f"{limit}\n"
        threads.quota.cache_clear()
        found.append(threads.quota())
        here = len(os.sched_getaffinity(0))
        assert threads.cores() == min(here, found[-1] or here)
    assert found == [None, 1, 1, 64, None]
    monkeypatch.undo()
    threads.quota.cache_clear()


def test_memory_that_cannot_be_had_is_a_memory_error():
    """Which the command line explains, see `memory`."""
    with pytest.raises(MemoryError, match="no memory to share"):
        team.Team(2).shared(2**50)


def test_no_process_outlives_a_leader_that_is_killed():
    """Nor does it hold the leader's pipes and locks."""
    code = (
        "import fcntl, sys\n"
        "from mnistgpu.team import Team\n"
        "lock = open(sys.argv[1], 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "team = Team(3)\n"
        "with team.working(lambda: team.meet):\n"
        "    team.meet()\n"
        "    print(*team._others, flush=True)\n"
        "    input()\n"
    )
    with tempfile.NamedTemporaryFile() as lock:
        command = [sys.executable, "-c", code, lock.name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as leader:
            others = [int(each) for each in leader.stdout.readline().split()]
            assert len(others) == 2
            leader.kill()
            leader.wait()
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert leader.stdout.read() == ""
    end = time.monotonic() + 2.0
    while any(is_running(each) for each in others):
        assert time.monotonic() < end, "a process lives on"
        time.sleep(0.02)


def is_running(process):
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


OPTIONS = ("--layers", "784-512-10", "--batch-size", 64, "--validation", 0, "--init", "he")
LENGTH = ("--iterations", 12000, "--checkpoint-every", "0.1s")


def test_a_stopped_and_resumed_run_ends_with_the_same_bits(tmp_path):
    """Ctrl-C goes to all processes of a terminal; a step that several take is taken to its end."""
    whole, path = tmp_path / "whole", tmp_path / "run"
    done = run(*OPTIONS, *LENGTH, "--out", whole)
    assert done.returncode == 0, done.stderr
    process = start(*OPTIONS, *LENGTH, "--out", path, start_new_session=True)
    wait_for((path / checkpoint.FILE).exists, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "go on with" in one_sentence(errors)
    saved = checkpoint.load(path)
    assert 0 < saved.taken < LENGTH[1]
    assert saved.workers == min(16, threads.cores())
    assert run("--resume", path).returncode == 0
    for name, values in checkpoint.load(whole).vectors.items():
        assert np.array_equal(checkpoint.load(path).vectors[name], values), name


@pytest.mark.skipif(threads.cores() < 2, reason="one core: there is nobody to share with")
def test_a_run_whose_other_process_is_killed_says_so_and_can_be_resumed(tmp_path):
    path = tmp_path / "run"
    process = start(*OPTIONS, *LENGTH, "--out", path)
    wait_for((path / checkpoint.FILE).exists, process)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    said = one_sentence(errors)
    assert "killed by signal 9" in said
    assert "keeps the run as it was after iteration" in said
    assert run("--resume", path).returncode == 0
