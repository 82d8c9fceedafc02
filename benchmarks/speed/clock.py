"""Times of several systems in turn: whatever else the machine does then slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

pause = 0.3  # seconds between systems, in which the waiting threads of the last one fall asleep


@dataclass(frozen=True)
class Times:
    """Median and range of repeated measurements, in seconds."""

    median: float
    low: float
    high: float
    repeats: int


def summary(seconds: list[float]) -> Times:
    """Median and range of a list of measurements."""
    return Times(statistics.median(seconds), min(seconds), max(seconds), len(seconds))


def stopwatch(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def interleaved(
    works: Mapping[str, Callable[[], object]],
    repeats: int,
    per: int = 1,
    warm_up: bool = True,
) -> dict[str, Times]:
    """Times of each work, divided by `per`; every repeat goes through all of them once.

    With `warm_up` each is run once beforehand.
    """
    for work in works.values() if warm_up else ():
        work()
    return in_turn({name: partial(stopwatch, work) for name, work in works.items()}, repeats, per)


def in_turn(
    works: Mapping[str, Callable[[], float]], repeats: int, per: int = 1
) -> dict[str, Times]:
    """Times in turn, divided by `per`, of works that return how many seconds they took."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            time.sleep(pause)
            seconds[name].append(work() / per)
    return {name: summary(found) for name, found in seconds.items()}


def count_for(work: Callable[[int], object], seconds: float) -> int:
    """How many steps `work(count)` takes in about so many seconds, once it is warm.

    The count doubles until it takes a quarter of the time, since the time of a few steps is mostly
    that of the call. Each count is taken twice, as some systems compile for every count.
    """
    count = 2
    while True:
        work(count)
        taken = stopwatch(lambda count=count: work(count))
        if taken >= seconds / 4:
            return max(2, round(count * seconds / taken))
        count *= 2
