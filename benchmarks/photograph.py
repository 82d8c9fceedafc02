"""How long a photograph of 12 million pixels takes, and how much memory.

Run:  python benchmarks/photograph.py

Makes a photograph (a digit of MNIST on paper, with a shadow and the noise of a sensor), and prints
the seconds of the first and the second call in a process that has imported everything, by the
clock and of its processors, its memory beyond that, and the seconds of `mnistgpu predict` from the
shell.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import mnistgpu

ROOT = Path(__file__).parent.parent
WIDE, HIGH = 4000, 3000


def photograph(path: Path) -> None:
    """Write a JPEG of 12 million pixels with a digit on paper."""
    digits = mnistgpu.load_data().test
    digit = Image.fromarray(digits.images[0].reshape(28, 28)).resize((1400, 1400), Image.BICUBIC)
    ink = np.zeros((HIGH, WIDE), np.float32)
    ink[800:2200, 1300:2700] = np.asarray(digit, np.float32) / 255.0
    light = np.linspace(0.7, 1.0, WIDE, dtype=np.float32)
    noise = np.random.default_rng(0).normal(0.0, 3.0, ink.shape)
    paper = light * (235.0 - 190.0 * ink) + noise
    Image.fromarray(paper.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def main() -> None:
    """Measure it, and print a line for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        # in a process of its own, whose memory does not count
        subprocess.run([sys.executable, __file__, str(path)], check=True)
        model = mnistgpu.load("shipped")
        model.read(ROOT / "tests" / "golden" / "photo-2.jpg")  # all imports
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for call in ("first call", "second call"):
            began, busy = time.perf_counter(), time.process_time()
            answer = model.read(path)
            clock, busy = time.perf_counter() - began, time.process_time() - busy
            print(f"{call:<12} {clock:.2f} s, {busy:.2f} s of the processors: {answer.digit}")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{'memory':<12} {(after - before) / 1024:.0f} MB at most beyond that before")
        command = [sys.executable, "-m", "mnistgpu.cli", "predict", "shipped", str(path)]
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        print(f"{'from a shell':<12} {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    if sys.argv[1:]:
        photograph(Path(sys.argv[1]))
    else:
        main()
