"""The transcript of the README and of docs/exact.md: two kernels of OpenBLAS, one digest.

    python benchmarks/exact_transcript.py [--check]

Runs COMMANDS in an empty folder and writes benchmarks/results/exact-transcript.md, which
`fill_docs.py` puts into the documents; with --check it compares instead.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "benchmarks" / "results" / "exact-transcript.md"
TRAIN = "train --recipe fast --iterations 50 --precision exact"
COMMANDS = (
    ("Haswell", f"{TRAIN} --out runs/haswell", -2),
    ("Prescott", f"{TRAIN} --out runs/prescott", -2),
    ("Prescott", "verify runs/haswell --quiet", -1),
)


def transcript() -> str:
    """The commands and the lines of their output that matter."""
    lines, before = ["```console"], ""
    with tempfile.TemporaryDirectory() as folder:
        for kernels, command, line in COMMANDS:
            if kernels != before:
                lines.append(f"$ export OPENBLAS_CORETYPE={kernels}  # whose kernels are used")
            before = kernels
            lines.append(f"$ mnistgpu {command}{' | grep digest' if line == -2 else ''}")
            done = subprocess.run(
                [sys.executable, "-m", "mnistgpu", *command.split()],
                cwd=folder,
                env=os.environ | {"OPENBLAS_CORETYPE": kernels, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=True,
            )
            lines.append(done.stdout.splitlines()[line])
    return "\n".join([*lines, "```"]) + "\n"


def main() -> int:
    """Write the file, or compare with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    found = transcript()
    if parser.parse_args().check:
        return int(FILE.read_text() != found)
    FILE.write_text(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
