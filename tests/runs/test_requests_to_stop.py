"""Signals become requests to stop, in this process: what they say, and what is given back."""

import os
import signal

import pytest

from mnistgpu.runs.signals import stop_on_signals
from mnistgpu.runs.stop import Stop

CASES = [("SIGINT", "Ctrl-C", 130), ("SIGTERM", "SIGTERM", 143), ("SIGHUP", "SIGHUP", 129)]


@pytest.fixture
def restored():
    """A handler of this test's own for each signal; afterwards those of before."""

    def own(number, frame):
        raise AssertionError("the signal was meant for the run")

    before = {each: signal.signal(getattr(signal, each), own) for each, *_ in CASES}
    yield own
    for each, handler in before.items():
        signal.signal(getattr(signal, each), handler)


@pytest.mark.parametrize(("name", "reason", "status"), CASES)
def test_a_signal_asks_for_an_interruption(restored, name, reason, status):
    number, stop = getattr(signal, name), Stop()
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        assert stop.interrupting
    assert (stop.reason, stop.exit_status) == (reason, status)
    assert not stop.finishing
    assert not stop.wants_outcome  # the run is saved, and nobody waits for its figures
    assert all(signal.getsignal(getattr(signal, each)) is restored for each, *_ in CASES)


def test_a_signal_that_is_ignored_stays_ignored(restored):
    """As nohup asks for."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGHUP)
    assert not stop.interrupting
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_second_signal_ends_the_program_with_its_own_status(restored, monkeypatch):
    left = []
    monkeypatch.setattr(os, "_exit", left.append)
    stop = Stop()
    with stop_on_signals(stop):
        os.kill(os.getpid(), signal.SIGINT)
        assert left == []
        os.kill(os.getpid(), signal.SIGTERM)
    assert left == [143]
    assert stop.reason == "Ctrl-C"
