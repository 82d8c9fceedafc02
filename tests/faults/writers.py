"""Two processes that write to one directory, in every order of their calls to the system.

    python tests/faults/writers.py            the lock in every order of up to six switches
    python tests/faults/writers.py committee  two committees in one directory, in random orders

Both are real processes. Before each call that touches the directory a process waits until it is
told to go on (faults.c), so one of them alone runs at a time, and the order is the same each time.
"""

import argparse
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
SWITCHES = 6


class Writer:
    """A forked process that does `work(folder)` call by call; `status` once it has ended.

    0: it wrote; 1: it was refused with the project's own error; anything else is wrong.
    """

    def __init__(self, faults, work, folder):
        from mnistgpu.errors import RunError, UsageError

        (hear, say_on), (self.hear, say) = os.pipe(), os.pipe()
        self.process, self.say, self.status = os.fork(), say_on, None
        if self.process == 0:
            status = 97
            try:
                os.close(say_on)
                os.close(self.hear)
                faults.step(say, hear)
                faults.arm(str(folder).encode(), 0, 0, 0)
                work(folder)
                status = 0
            except (RunError, UsageError):
                status = 1
            finally:
                os._exit(status)
        os.close(hear)
        os.close(say)
        self.wait()

    def wait(self):
        """Until the process asks for its next call, or has ended."""
        if not os.read(self.hear, 1):
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
            os.close(self.hear)
            os.close(self.say)

    def go(self):
        """Let it make one call."""
        os.write(self.say, b"\0")
        self.wait()

    def finish(self):
        while self.status is None:
            self.go()


def interleaved(faults, works, folder, turns):
    """Run two works; `turns` says how many calls each makes in turn, the first one begins.

    After the last turn the first one runs to its end, then the other. Returns (their statuses, how
    many calls each has made in its turns).
    """
    writers = [Writer(faults, work, folder) for work in works]
    made = []
    for i, calls in enumerate(turns):
        count = 0
        while count < calls and writers[i % 2].status is None:
            writers[i % 2].go()
            count += 1
        made.append(count)
    for writer in writers:
        writer.finish()
    return [writer.status for writer in writers], made


def holding(inside):
    """A work that takes the lock; while it holds it, the file `inside` must not be there."""

    def work(folder):
        from mnistgpu.storage import lock

        with lock.only_writer(folder):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # FileExistsError: 97
            os.stat(folder)
            (folder / "in here").write_bytes(b"work")
            os.unlink(inside)

    return work


def every_order(most):
    """Turns of up to SWITCHES switches, of at most `most` calls each."""
    for switches in range(SWITCHES + 1):
        yield from itertools.product(range(1, most + 1), repeat=switches)


def check_lock(faults, folder, orders):
    """Let two processes take the lock in these orders; how many were tried."""
    tried = 0
    inside = folder.parent / "inside"
    for turns in orders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with suppress(FileNotFoundError):
            inside.unlink()
        statuses, _ = interleaved(faults, [holding(inside)] * 2, folder, turns)
        assert set(statuses) <= {0, 1}, (turns, statuses)
        assert 0 in statuses, (turns, statuses)
        assert sorted(path.name for path in folder.iterdir()) == ["in here"], turns
        tried += 1
    return tried


def check_committee(faults, folder, count, seed):
    """Let two processes save a committee in one directory in random orders; how many were tried."""
    import numpy as np

    from mnistgpu.models import committee, model

    def member(number):
        theta = np.full(12 * 3 + 3 + 30 + 10, number, dtype=np.float32)
        return model.Model(theta, (12, 3, 10), (4, 3))

    whole = [committee.Committee((member(i), member(i + 1))) for i in (0, 10, 20)]
    answers = [[m.theta.tobytes() for m in each.members] for each in whole]

    def saving(i):
        return lambda folder: committee.save(whole[i], folder, ["a", "b"], force=True)

    chance = random.Random(seed)
    for _ in range(count):
        shutil.rmtree(folder, ignore_errors=True)
        saving(0)(folder)
        turns = [chance.randrange(1, 25) for _ in range(chance.randrange(SWITCHES + 1))]
        statuses, _ = interleaved(faults, [saving(1), saving(2)], folder, turns)
        assert set(statuses) <= {0, 1}, (turns, statuses)
        assert 0 in statuses, (turns, statuses)
        found = [m.theta.tobytes() for m in committee.load(folder).members]
        wrote = [answers[i] for i in (1, 2) if statuses[i - 1] == 0]
        assert found in wrote, (turns, statuses)
        assert len(list(folder.glob("member-*"))) == 2, turns
    return count


def main():
    from faults import inject

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("lock", "committee"), default="lock")
    parser.add_argument("--most", type=int, default=5, help="calls in one turn, for the lock")
    parser.add_argument("--count", type=int, default=1000, help="orders, for committees")
    parser.add_argument("--sample", type=int, default=0, help="orders of the lock; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.inside:
        with tempfile.TemporaryDirectory() as folder:
            sys.exit(inject.start(sys.argv[1:], folder, program=__file__).returncode)
    faults, began = inject.Faults(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        if given.what == "lock":
            orders = list(every_order(given.most))
            if given.sample and given.sample < len(orders):
                orders = random.Random(given.seed).sample(orders, given.sample)
            tried = check_lock(faults, folder, orders)
        else:
            tried = check_committee(faults, folder, given.count, given.seed)
    print(f"{tried} orders in {time.monotonic() - began:.0f} s, no promise broken")


if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parent), str(HERE.parents[1])]
    main()
