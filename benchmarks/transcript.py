"""The README's transcript: what its first command prints, without the rows in the middle.

Run:  python benchmarks/transcript.py [--iterations 2000]

Writes benchmarks/results/transcript.md, which `fill_docs.py` puts into the README.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
FIRST, LAST = 4, 2  # rows of history that are shown

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--iterations", type=int, default=2000, help="of the run (2000)")
arguments = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    done = subprocess.run(
        [sys.executable, "-m", "mnistgpu.train", "--iterations", str(arguments.iterations)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
lines = done.stdout.splitlines()
rows = [line for line in lines if line.startswith("iteration ")]
begin, end = lines.index(rows[0]), lines.index(rows[-1]) + 1
lines[-1] = re.sub(r"runs/[0-9-]+$", "runs/DATE-TIME", lines[-1])
shown = [*lines[:begin], *rows[:FIRST], "...", *rows[-LAST:], *lines[end:]]
RESULTS.mkdir(exist_ok=True)
(RESULTS / "transcript.md").write_text("\n".join(["```", *shown, "```"]) + "\n")
print("\n".join(shown))
