"""Signs of life between ranks, over real sockets in this process, and what a rank finds out."""

import contextlib
import socket
import threading
import time

import pytest

from mnistgpu.interop import mpi, mpi_watch
from mnistgpu.interop.mpi_watch import End, First, Other


@pytest.fixture
def job(monkeypatch, capfd):
    """Makes rank 0 and other ranks; `why()` is what ended the job, and "" if nothing did."""
    aborted = threading.Event()
    monkeypatch.setattr(mpi_watch, "EVERY", 0.05)
    monkeypatch.setattr(mpi_watch, "LOOK", 0.02)
    monkeypatch.setattr(mpi_watch, "GRACE", 0.3)
    monkeypatch.setattr(mpi_watch, "KILL", 1000.0)
    watches = []

    def leave(status):
        aborted.status = status
        aborted.set()
        raise SystemExit  # ends the thread of the watch

    monkeypatch.setattr(mpi_watch.os, "_exit", leave)

    def made(size, timeout=60.0):
        first = First(size, lambda status: None)
        addresses = [("127.0.0.1", port) for _, port in first.addresses]
        others = [
            Other(rank, size, lambda status: None, first.token, addresses)
            for rank in range(1, size)
        ]
        for each in (first, *others):
            each.timeout = timeout
            each._watch = quietly(each._watch)
            each.start()
            watches.append(each)
        end = time.monotonic() + 10
        while len(first._links) < size - 1:
            assert time.monotonic() < end
            time.sleep(0.01)
        return first, others

    def why(seconds=20.0):
        """What was said until the job was ended, by whichever rank was first."""
        end, said = time.monotonic() + seconds, ""
        while time.monotonic() < end and not ("error: " in said and aborted.is_set()):
            time.sleep(0.02)
            said += capfd.readouterr().err
        return said

    made.why, made.aborted, made.read = why, aborted, lambda: capfd.readouterr().err
    yield made
    for each in watches:
        each.over.set()
    for each in watches:
        each.thread.join(10)
    for each in threading.enumerate():
        if isinstance(each, threading.Timer):
            each.cancel()


def quietly(watch):
    """The same function, which a SystemExit ends without a warning of pytest."""

    def watching():
        with contextlib.suppress(SystemExit):
            watch()

    return watching


def ending(watch, end):
    thread = threading.Thread(target=watch.end, args=(end,), daemon=True)
    thread.start()
    return thread


def test_a_job_ends_when_all_ranks_have(job):
    first, others = job(3)
    threads = [ending(each, End(0, False, "")) for each in (first, *others[1:])]
    assert not first.over.wait(0.5)  # one of them is busy
    threads.append(ending(others[0], End(0, False, "")))
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert not job.aborted.is_set()


def test_a_killed_rank_is_named_with_what_is_left_of_the_run(job):
    first, others = job(3)
    first.kept = lambda: "a checkpoint keeps it"
    others[1]._link.link.shutdown(socket.SHUT_RDWR)
    said = job.why()
    assert "error: rank 2 has ended without a word: it was killed; the job was ended" in said
    assert "a checkpoint keeps it" in said


def test_a_silent_rank_is_named(job, monkeypatch):
    _, others = job(2, timeout=1)
    monkeypatch.setattr(others[0]._link, "send", lambda line: True)
    assert "rank 1 has given no sign of life for 1 seconds" in job.why()


@pytest.mark.slow
def test_a_rank_that_is_heard_is_not_taken_for_dead(job):
    job(3, timeout=1)
    assert job.why(1.8) == ""


def test_a_rank_that_fails_alone_ends_the_job(job):
    _, others = job(2)
    ending(others[0], End(1, False, "a mistake"))
    assert "error: rank 1 has failed: a mistake" in job.why()
    assert job.aborted.status == 1


def test_ranks_that_fail_together_end_in_peace(job):
    first, others = job(2)
    threads = [ending(each, End(2, False, "--seed must")) for each in (first, *others)]
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert job.why(0.5) == ""


def test_a_rank_that_fails_while_rank_0_ends_well_is_named(job):
    first, others = job(2)
    threads = [ending(others[0], End(1, False, "a mistake")), ending(first, End(0, False, ""))]
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert job.read() == "error: rank 1 has failed: a mistake\n"


def test_ranks_that_agreed_to_stop_wait_for_rank_0_however_long_it_saves(job):
    first, others = job(2)
    thread = ending(others[0], End(130, True, ""))
    assert job.why(1.0) == ""
    ending(first, End(130, True, ""))
    thread.join(5)
    assert not thread.is_alive()


def test_a_stranger_on_the_port_is_ignored(job):
    first, _ = job(2)
    stranger = mpi_watch.reach([("127.0.0.1", first.addresses[0][1])])
    stranger.send(f"{'0' * 32} 1")
    stranger.send('{"status": 1, "agreed": false, "words": "stop"}')
    stranger.link.close()
    assert job.why(0.8) == ""


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ([range(4), range(4)], [2, 2]),
        ([range(2), range(2, 4)], [2, 2]),  # a launcher that binds ranks to cores
        ([range(2), range(2), range(2)], [1, 1, 1]),
        ([range(4), [0]], [3, 1]),
    ],
)
def test_cores_are_divided_among_the_ranks_of_a_machine(allowed, expected):
    assert [mpi.own_cores(allowed, rank) for rank in range(len(allowed))] == expected


def test_last_words_are_the_error():
    text = "warning: few images\nerror: --seed must be a number\nfor more see --help\n"
    assert mpi_watch.last_words(text) == "--seed must be a number"
    assert mpi_watch.last_words("Traceback\nValueError: a mistake\n") == "ValueError: a mistake"


@pytest.mark.parametrize(
    ("variables", "ranks"),
    [
        ({}, 1),
        ({"PMI_SIZE": "4"}, 4),
        ({"OMPI_COMM_WORLD_SIZE": "3"}, 3),
        ({"SLURM_STEP_NUM_TASKS": "8"}, 8),  # of srun
        ({"SLURM_NTASKS": "8"}, 1),  # of sbatch, whose script is one process
        ({"PMI_SIZE": "1", "SLURM_STEP_NUM_TASKS": "1"}, 1),
    ],
)
def test_launchers_are_recognised_by_their_variables(variables, ranks, monkeypatch):
    from mnistgpu import train

    for name in train.RANK_COUNTS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert train.ranks_started() == ranks
