"""Processes that share steps: how they begin, meet and end, and that nothing is left of them."""

import os
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from helpers import runs
from helpers.processes import have_ended, start
from helpers.runs import one_sentence, run, wait_for

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine import threads
from mnistgpu.engine.cpu import process_group, processes
from mnistgpu.engine.cpu.process_group import ProcessGroup
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import RunError
from mnistgpu.runs import checkpoint, signals
from mnistgpu.settings import Settings
from mnistgpu.storage import system

fcntl = pytest.importorskip("fcntl", reason="only Unix has it")

pytestmark = pytest.mark.skipif(
    not process_group.is_possible(), reason="no forked processes compute here"
)

PLAIN = Settings(init="he", validation=0, iterations=10**6, layers="784-16-10", batch_size=64)


@pytest.fixture
def train(digits):
    return data.Digits(*digits, "the first digits")


def children(process=None):
    """The processes that a process, or this one, has started and that have not ended."""
    process = process or os.getpid()
    with open(f"/proc/{process}/task/{process}/children") as listed:
        return [int(each) for each in listed.read().split()]


def others(before):
    """The processes that this one has started since it had started those."""
    return [each for each in children() if each not in before]


def blas_threads():
    return {each["num_threads"] for each in threads._blas().info() if each["user_api"] == "blas"}


def test_a_failed_step_leaves_no_process_and_blas_its_threads(train):
    processes = children()
    trainer = Trainer(PLAIN, train, NUMPY)
    with threads._blas().limit(limits=3, user_api="blas"):
        with (
            pytest.raises(ZeroDivisionError),
            trainer.engine.running(),
            stepping(trainer, processes=2) as step,
        ):
            step()
            assert len(others(processes)) == 1
            assert blas_threads() == {1}
            raise ZeroDivisionError
        assert children() == processes
        assert blas_threads() == {3}


CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


@pytest.mark.skipif(len(CORES) < 2, reason="one core: there is no other to go to")
def test_processes_go_to_a_core_each_after_a_pause(train, monkeypatch, tmp_path):
    """Or two that wake up on one stay there; and they may leave it again."""
    leader, move = os.getpid(), os.sched_setaffinity
    lists = [tmp_path / "leader", tmp_path / "other"]

    def moving(process, cores):
        with open(lists[os.getpid() != leader], "a") as moves:
            print(*sorted(cores), file=moves)
        move(process, cores)

    def moves():
        lines = [each.read_text().splitlines() for each in lists]
        return [[[*map(int, line.split())] for line in each] for each in lines]

    monkeypatch.setattr(os, "sched_setaffinity", moving)
    monkeypatch.setattr(processes, "PAUSE", 1.0)
    monkeypatch.setattr(processes, "OFTEN", 0.9)
    trainer = Trainer(PLAIN, train, NUMPY)
    with trainer.engine.running(), stepping(trainer, processes=2) as step:
        step()
        step(most=5)  # at once
        (first, back), (second, back_again) = moves()
        assert sorted(first + second) == back == back_again == CORES

        time.sleep(1.1)
        step()
        assert [len(each) for each in moves()] == [4, 4]
        monkeypatch.setattr(processes, "OFTEN", 0.0)  # here; in the other process it is as it was
        step()
        assert [len(each) for each in moves()] == [6, 4]

        move(0, second)  # as `taskset -p` does
        try:
            step()
            assert len(moves()[0]) == 6
        finally:
            move(0, CORES)


def test_where_no_process_may_choose_its_cores_steps_are_taken_all_the_same(train, monkeypatch):
    def forbidden(process, cores):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    trainer = Trainer(PLAIN, train, NUMPY)
    with trainer.engine.running(), stepping(trainer, processes=2) as step:
        step()


@pytest.mark.skipif(len(CORES) < 2, reason="one core: there is no other to go to")
def test_an_interruption_on_the_way_leaves_no_process_pinned(monkeypatch):
    move = os.sched_setaffinity

    def moving(process, cores):
        move(process, cores)
        if len(cores) < len(CORES):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "sched_setaffinity", moving)
    try:
        with pytest.raises(KeyboardInterrupt):
            ProcessGroup(2).spread_over_cores()
        assert sorted(os.sched_getaffinity(0)) == CORES
    finally:
        move(0, CORES)


def test_there_may_be_more_processes_than_cores(train):
    os.sched_setaffinity(0, CORES[:1])
    try:
        trainer = Trainer(PLAIN, train, NUMPY)
        before = children()
        with trainer.engine.running(), stepping(trainer, processes=3) as step:
            step()
            for process in (0, *others(before)):
                assert sorted(os.sched_getaffinity(process)) == CORES[:1]
    finally:
        os.sched_setaffinity(0, CORES)


def test_a_process_that_is_killed_ends_the_run_with_a_sentence(train):
    trainer = Trainer(PLAIN, train, NUMPY)
    before = children()
    with trainer.engine.running(), stepping(trainer, processes=3) as step:
        step()
        taken = trainer.vectors()["theta"]
        os.kill(others(before)[1], signal.SIGKILL)
        with pytest.raises(RunError, match=r"one of the 3 processes .*killed by signal 9"):
            step()
        with pytest.raises(RunError, match="interrupted"):
            step()
    assert children() == before
    assert np.array_equal(trainer.theta, taken)
    assert trainer.taken == 1


@pytest.mark.parametrize(
    ("error", "raised"), [(MemoryError("much"), MemoryError), (ValueError("so"), RunError)]
)
def test_an_error_in_another_process_reaches_this_one(error, raised):
    group = ProcessGroup(2)

    def begin():
        def work():
            if group.rank == 1:
                raise error
            group.barrier()

        return work

    with pytest.raises(raised, match=str(error)), group.running(begin):
        begin()()


def test_signals_to_stop_are_blocked_in_other_ranks(train):
    trainer = Trainer(PLAIN, train, NUMPY)
    before = children()
    with trainer.engine.running(), stepping(trainer, processes=2) as step:
        for number in signals.SIGNALS:
            os.kill(others(before)[0], number)
        losses = [step()[0] for _ in range(3)]
        assert len(others(before)) == 1
    assert len(set(map(float, losses))) == 3  # each of its own step, also when kept


def test_where_no_process_can_be_started_a_sentence_says_so(train, monkeypatch):
    def full():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", full)
    trainer = Trainer(PLAIN, train, NUMPY)
    refused = pytest.raises(RunError, match=r"temporarily unavailable.*end some programs")
    with refused, stepping(trainer, processes=2):
        pass


def test_where_there_is_no_room_to_meet_a_sentence_says_so(monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.context.BaseContext.Semaphore", full)
    with pytest.raises(
        RunError, match=r"3 processes cannot be synchronised .*No space left.*/dev/shm"
    ):
        ProcessGroup(3)
    process_group.is_possible.cache_clear()
    assert not process_group.is_possible()
    monkeypatch.undo()
    process_group.is_possible.cache_clear()
    assert process_group.is_possible()


def test_memory_that_cannot_be_had_is_a_memory_error():
    """Which the command line explains, see `memory`."""
    with pytest.raises(MemoryError, match="no memory to share"):
        ProcessGroup(2).shared_array(2**50)


def test_no_process_outlives_a_leader_that_is_killed():
    """Nor does it hold the leader's pipes and locks."""
    code = (
        "import fcntl, sys\n"
        "from mnistgpu.engine.cpu.process_group import ProcessGroup\n"
        "lock = open(sys.argv[1], 'w')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "group = ProcessGroup(3)\n"
        "with group.running(lambda: group.barrier):\n"
        "    group.barrier()\n"
        "    print(*group._children, flush=True)\n"
        "    input()\n"
    )
    with tempfile.NamedTemporaryFile() as lock:
        command = [sys.executable, "-c", code, lock.name]
        leader = start(command, stdin=subprocess.PIPE)
        others = [int(each) for each in leader.stdout.readline().split()]
        assert len(others) == 2
        leader.kill()
        leader.wait()
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert leader.stdout.read() == ""
    assert have_ended(others)


@pytest.mark.parametrize("further", [-1, 1])
def test_a_process_ends_whoever_takes_it_over(monkeypatch, further):
    """Init, or another process that looks after those of a leader that has ended."""
    group = ProcessGroup(2)

    def ended(status):
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", ended)
    group._take_rank(1)
    monkeypatch.setattr(os, "getppid", lambda: os.getpid() + further)
    with pytest.raises(SystemExit):
        group._check_alive()


OPTIONS = ("--layers", "784-512-10", "--batch-size", 64, "--validation", 0, "--init", "he")
STEPS = 400
OFTEN = ("--checkpoint-every", "0s")  # after each step, which makes the run long enough to disturb


@pytest.mark.slow
def test_a_stopped_and_resumed_run_ends_with_the_same_bits(tmp_path):
    """Ctrl-C goes to all processes of a terminal; a step that several take is taken to its end."""
    whole, path = tmp_path / "whole", tmp_path / "run"
    done = run(*OPTIONS, "--iterations", STEPS, "--out", whole)
    assert done.returncode == 0, done.stderr
    process = runs.start(*OPTIONS, "--iterations", STEPS, *OFTEN, "--out", path)
    wait_for((path / checkpoint.FILE).exists, process)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "go on with" in one_sentence(errors)
    saved = checkpoint.load(path)
    assert 0 < saved.taken < STEPS
    assert saved.workers == min(16, system.cores())
    assert run("--resume", path).returncode == 0
    for name, values in checkpoint.load(whole).vectors.items():
        assert np.array_equal(checkpoint.load(path).vectors[name], values), name


@pytest.mark.slow
@pytest.mark.skipif(system.cores() < 2, reason="one core: no other process to share with")
def test_a_run_whose_other_process_is_killed_says_so_and_can_be_resumed(tmp_path):
    path = tmp_path / "run"
    process = runs.start(*OPTIONS, "--iterations", STEPS, *OFTEN, "--out", path)
    wait_for((path / checkpoint.FILE).exists, process)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    said = one_sentence(errors)
    assert "killed by signal 9" in said
    assert "keeps the run as it was after iteration" in said
    assert run("--resume", path).returncode == 0
