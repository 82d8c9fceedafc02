"""What it costs to watch a run: the same run with --watch and a client, and without.

Run:  python benchmarks/watching.py [--repeats 5]

The two are measured in turn. The client asks for the state twice a second, as the page does. Writes
benchmarks/results/watching.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from mnistgpu.backend import NUMPY

SETTINGS = ("--layers", "784-128-10", "--init", "he", "--batch-size", "128", "--epochs", "15")
ASKED_EVERY = 0.5  # seconds

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--repeats", type=int, default=5, help="runs of each (5)")
arguments = parser.parse_args()


def seconds(folder: str, watched: bool) -> float:
    """Seconds of training, as the run itself reports them."""
    command = [sys.executable, "-u", "-m", "mnistgpu.train", *SETTINGS, "--alpha", "0.1", "--force"]
    command += ["--out", folder, *(["--watch"] if watched else [])]
    environment = os.environ | {"BROWSER": "true"}  # a browser that does nothing
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("watch"):
            address = line.split()[1]
            while process.poll() is None:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{address}state?after=0", timeout=5).read()
                time.sleep(ASKED_EVERY)
    if process.wait() != 0:
        raise RuntimeError("the run failed")
    return float(json.loads((Path(folder) / "results.json").read_text())["seconds"])


found: dict[bool, list[float]] = {False: [], True: []}
with tempfile.TemporaryDirectory() as folder:
    for _ in range(arguments.repeats):
        for watched in found:
            found[watched].append(seconds(folder, watched))
            print("watched" if watched else "alone", f"{found[watched][-1]:.2f} s", flush=True)
alone, with_page = (statistics.median(found[watched]) for watched in (False, True))
# the machine has faster and slower minutes, so runs that follow each other are compared
cost = statistics.median(b / a - 1 for a, b in zip(found[False], found[True], strict=True))
ranges = [f"{min(found[watched]):.2f} to {max(found[watched]):.2f}" for watched in (False, True)]
text = (
    f"784-128-10, batches of 128, 15 epochs, medians and ranges of {arguments.repeats} in turn: "
    f"{alone:.2f} s ({ranges[0]}) alone, {with_page:.2f} s ({ranges[1]}) watched by a page that "
    f"asks twice a second; median of the pairs {cost:+.1%} ({NUMPY.describe()['device']})."
)
(Path(__file__).parent / "results" / "watching.md").write_text(text + "\n")
print(text)
