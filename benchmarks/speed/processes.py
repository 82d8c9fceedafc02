"""Whole processes: a run from start to exit, the time to the first step, the report, the memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from speed.peers import equations
from speed.tasks import mnist

MNIST = Path(__file__).parent.parent.parent / "data" / "mnist"

# Ends where the loop of a run would take its first step, in a module that is not imported earlier
# than usual: what a run does during its imports must be timed as it is.
FIRST_STEP = """
import contextlib, importlib.util, sys
class Patch:
    def find_spec(self, name, path=None, target=None):
        if name != "mnistgpu.runs.loop":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def patched(module):
            load(module)
            usual = module.stepping
            @contextlib.contextmanager
            def ready(*arguments, **named):
                with usual(*arguments, **named):
                    sys.exit(0)
                yield
            module.stepping = ready
        spec.loader.exec_module = patched
        return spec
sys.meta_path.insert(0, Patch())
sys.argv = ["train", "--quiet", "--force", "--out", {out!r}]
from mnistgpu import train
train.main()
"""

REPORT = """
import time
from pathlib import Path
import numpy as np
from mnistgpu import data
from mnistgpu.models import model
from mnistgpu.runs.history import Row
from mnistgpu.runs.outcome import Outcome
dataset = data.load()
images, labels = dataset.test.images, dataset.test.labels
theta = np.random.default_rng(0).standard_normal(7960, dtype=np.float32)
trained = model.Model(theta, (784, 10, 10))
rows = [Row(i, i, 0.1 * i, 2 / i, 0.9, 2 / i, 0.9, 0.5) for i in range(1, 51)]
outcome = Outcome(trained, rows, {{}}, trained.probabilities(images))
started = time.perf_counter()
from mnistgpu.reports import run_report
run_report.write(Path({out!r}), outcome, dataset, "a run")
print(time.perf_counter() - started)
"""

PEAK = """
def peak():  # of this process alone; ru_maxrss would begin with its parent's
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
"""

WHOLE_RUN = (
    PEAK
    + """
import sys
sys.argv = ["train", "--quiet", "--force", "--out", {out!r}, "--iterations", "{iterations}"]
from mnistgpu import train
try:
    train.main()
except SystemExit as end:
    assert not end.code, end.code
print(peak())
"""
)

GROWTH = (
    PEAK
    + """
def of_workers():  # private memory of the processes that share its steps
    with open("/proc/self/task/%d/children" % os.getpid()) as listed:
        files = [f"/proc/{{each}}/smaps_rollup" for each in listed.read().split()]
    lines = [line.split() for file in files for line in open(file)]
    return 1024 * sum(int(line[1]) for line in lines if line[0].startswith("Private_"))

import os, resource, statistics, time
import numpy as np
from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.trainer import Trainer
from mnistgpu.engine.stepping import stepping
from mnistgpu.settings import Settings
train = data.load().train
before = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
rows = np.arange({images}) % len(train.labels)
images, labels = train.images[rows], train.labels[rows]
digits = data.Digits(images, labels, "repeated MNIST")
trainer = Trainer(Settings(iterations=10**9, validation=0), digits, NUMPY)
seconds = []
with trainer.engine.running(), stepping(trainer, print) as step:
    step()
    for _ in range({repeats}):
        started = time.perf_counter()
        for _ in range({steps}):
            step()
        seconds.append((time.perf_counter() - started) / {steps})
    taken = peak() - before + of_workers()
print(statistics.median(seconds), taken / images.nbytes)
"""
)


READ = """
import time
import numpy as np, pandas
from mnistgpu import data
started = time.perf_counter()
{read}
print(time.perf_counter() - started)
"""


def python(*arguments: str) -> str:
    """Run Python and wait; its last line of output."""
    environment = os.environ | {"MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)[:80]}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def whole_runs(iterations: int, folder: str) -> dict[str, Callable[[], object]]:
    """The recipe classic from process start to exit, and the equations in NumPy float64."""
    command = ("-m", "mnistgpu.train", "--quiet", "--force", "--out", folder)
    return {
        "mnistgpu": lambda: python(*command, "--iterations", str(iterations)),
        "the equations, float64": lambda: python(
            str(equations.__file__), str(MNIST), str(iterations)
        ),
    }


def starts(folder: str) -> dict[str, Callable[[], object]]:
    """From the command to the first training step, and `import numpy` alone."""
    first_step = FIRST_STEP.format(out=folder)
    return {
        "to the first step": lambda: python("-c", first_step),
        "import numpy": lambda: python("-c", "import numpy"),
    }


def help_text() -> None:
    """Start the command and print its help."""
    python("-m", "mnistgpu.train", "--help")


def peak_memory(iterations: int, folder: str) -> float:
    """The most memory that a whole run of the recipe classic takes, in bytes."""
    return float(python("-c", WHOLE_RUN.format(out=folder, iterations=iterations)))


def report_seconds(folder: str) -> float:
    """Seconds to draw and save the end report in a fresh process, matplotlib's import included."""
    return float(python("-c", REPORT.format(out=folder)))


def growth(images: int, repeats: int) -> tuple[float, float]:
    """Training on MNIST cut or repeated to so many images: seconds an iteration, and memory.

    Memory is what the images and all that training adds to them take at most, over the bytes of
    the images.
    """
    steps = max(1, 60_000 // images)
    code = GROWTH.format(images=images, repeats=repeats, steps=steps)
    seconds, memory = python("-c", code).split()
    return float(seconds), float(memory)


def csv_reads(folder: str, images: int) -> dict[str, Callable[[], float]]:
    """Seconds of reading a table like Kaggle's train.csv, by this project and by pandas' C engine.

    Each time in a fresh process, since memory kept from earlier reads makes the next ones faster;
    imports are not counted.
    """
    path = Path(folder) / "train.csv"
    train = mnist().train
    header = "label," + ",".join(f"pixel{i}" for i in range(784))
    table = np.column_stack((train.labels[:images], train.images[:images]))
    with open(path, "w", newline="") as file:
        file.write(header + "\r\n")
        file.writelines(",".join(map(str, row)) + "\r\n" for row in table.tolist())
    reads = {
        "mnistgpu": f"data.load({str(path)!r})",
        "pandas, C engine": f"pandas.read_csv({str(path)!r}, engine='c')",
        "pandas, C engine, uint8": f"pandas.read_csv({str(path)!r}, engine='c', dtype=np.uint8)",
    }
    return {name: partial(read_seconds, read) for name, read in reads.items()}


def read_seconds(read: str) -> float:
    """Seconds of an expression in a fresh process."""
    return float(python("-c", READ.format(read=read)))


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder for runs and tables."""
    return tempfile.TemporaryDirectory(prefix="mnistgpu-benchmark-")
