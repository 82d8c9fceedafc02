"""What a change gains: steps of this version, of an earlier one and of JAX, measured in turn.

Run:  python benchmarks/versions.py COMMIT [--repeats 15]

Each is a process of its own, which sleeps between its turns; that of the earlier version runs in a
checkout of the commit. Writes benchmarks/results/versions.md.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from speed import clock, peers
from speed.modes import FULL, tasks
from speed.report import duration
from speed.tasks import Task

from mnistgpu.backend import NUMPY
from mnistgpu.engine.threads import blas_architecture

ROOT = Path(__file__).parent.parent
BLOCK = 0.3  # seconds of steps in a turn

STEPS = """
import sys, time
sys.path[:0] = [{root!r}, {root!r} + "/benchmarks"]
from speed import clock, peers
from speed.tasks import Task
peer = peers.PEERS[{peer!r}]({task!r})
count = clock.count_for(lambda n: peer.steps(0, n), {block})
peer.steps(0, count)  # JAX compiles for every count
print("ready", flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    peer.steps(0, count)
    print((time.perf_counter() - started) / count, flush=True)
"""


class Turns:
    """A process that takes a block of steps for each line that it reads."""

    def __init__(self, root: Path, peer: str, task: Task):
        code = STEPS.format(root=str(root), peer=peer, task=task, block=BLOCK)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True
        )
        self.answer()

    def answer(self) -> str:
        """The next line that it prints."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process has ended with status {self.process.wait()}")
        return line

    def seconds(self) -> float:
        """Take a block of steps: seconds of one."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.answer())


def row(task: Task, works: dict[str, tuple[Path, str]], repeats: int) -> list[str]:
    """A line of the table."""
    with contextlib.ExitStack() as stack:
        turns = {name: Turns(root, peer, task) for name, (root, peer) in works.items()}
        for turn in turns.values():
            stack.callback(turn.process.kill)
        times = clock.in_turn({name: turn.seconds for name, turn in turns.items()}, repeats)
    before, now, peer = (found.median for found in times.values())
    cells = [
        f"{duration(t.median)} ({duration(t.low)} to {duration(t.high)})" for t in times.values()
    ]
    line = [task.name, *cells, f"{now / before:.2f}", f"{before / peer:.2f}", f"{now / peer:.2f}"]
    print(*line, sep="  ", flush=True)
    return line


def main() -> None:
    """Measure, show and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("earlier", help="the earlier version: a commit or branch")
    parser.add_argument("--repeats", type=int, default=15, help="measurements of each (15)")
    arguments = parser.parse_args()
    packed = subprocess.run(
        ["git", "archive", arguments.earlier], cwd=ROOT, check=True, capture_output=True
    )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        works = {
            "before": (Path(folder), peers.THIS_PROJECT),
            "now": (ROOT, peers.THIS_PROJECT),
            peers.JAX: (ROOT, peers.JAX),
        }
        head = ["a step of", "before", "now", peers.JAX]
        head += ["now / before", f"before / {peers.JAX}", f"now / {peers.JAX}"]
        rows = [head, ["---"] * len(head)]
        rows += [row(task, works, arguments.repeats) for task, _ in tasks(FULL)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    text = (
        f"{NUMPY.describe()['device']}, OpenBLAS for {blas_architecture()}, before: "
        f"{arguments.earlier}; medians and ranges of {arguments.repeats} in turn.\n\n{table}\n"
    )
    (ROOT / "benchmarks" / "results" / "versions.md").write_text(text)


if __name__ == "__main__":
    main()
