"""What the lab's page takes: until it is ready, until a change has an effect, memory, speed.

Run:  python benchmarks/lab.py [--minutes 10] [--repeats 5]

A Chromium looks at a run of the lab and steers it. Its memory is measured once a minute, after a
collection of what it no longer needs. Writes benchmarks/results/lab.md. Needs playwright and a
Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mnistgpu.backend import NUMPY

SETTINGS = ("--layers", "784-128-10", "--init", "he", "--batch-size", "128", "--alpha", "0.1")
LONG = ("--epochs", "100000")
MEASURED = 8.0  # seconds of training with and without a browser

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--minutes", type=float, default=10.0, help="of memory (10)")
parser.add_argument("--repeats", type=int, default=5, help="of everything else (5)")
arguments = parser.parse_args()


@contextlib.contextmanager
def lab(*more: str) -> Iterator[tuple[str, float]]:
    """The lab in a process of its own: its address, and the seconds until its page is whole."""
    command = [sys.executable, "-u", "-m", "mnistgpu.cli", "lab", "--port", "0", "--no-browser"]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, *SETTINGS, *more, "--out", f"{folder}/run"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[2]
            urllib.request.urlopen(address, timeout=10).read()
            while "step" not in ask(address, "state?after=0"):
                time.sleep(0.01)
            yield address, time.perf_counter() - begun
        finally:
            process.terminate()
            process.wait(30)


def ask(address: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer of the lab."""
    content = None if body is None else json.dumps({"browser": "benchmark", **body}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address + path, content, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def effect(address: str, rate: float) -> float:
    """Seconds from a change of the learning rate until the run has it."""
    begun = time.perf_counter()
    ask(address, "do", {"action": "change", "name": "learning_rate", "value": rate})
    while ask(address, "state?after=0&brief=1")["settings"]["learning_rate"] != rate:
        pass
    return time.perf_counter() - begun


def steps_in(address: str, seconds: float) -> float:
    """Steps a second."""
    first, begun = ask(address, "state?after=99999999&brief=1")["step"], time.perf_counter()
    time.sleep(seconds)
    last = ask(address, "state?after=99999999&brief=1")["step"]
    return float((last - first) / (time.perf_counter() - begun))


def memory(session: Any) -> tuple[float, int]:
    """MB of the page's JavaScript, and its elements, once what it no longer needs is collected."""
    session.send("HeapProfiler.collectGarbage")
    measures = session.send("Performance.getMetrics")["metrics"]
    found = {each["name"]: each["value"] for each in measures}
    return found["JSHeapUsedSize"] / 1e6, int(found["Nodes"])


ready = []
for _ in range(arguments.repeats):
    with lab(*LONG) as (_, seconds):
        ready.append(seconds)
        print(f"ready     {seconds:.2f} s", flush=True)

from playwright.sync_api import sync_playwright  # noqa: E402

with sync_playwright() as playwright, lab(*LONG) as (address, _):
    path = shutil.which("chromium") or playwright.chromium.executable_path
    chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
    ask(address, "do", {"action": "start"})
    time.sleep(2)
    alone, seen, changes = [], [], []
    for number in range(arguments.repeats):
        alone.append(steps_in(address, MEASURED))
        page = chromium.new_page()
        page.goto(address)
        page.wait_for_function("() => document.querySelectorAll('#units canvas').length > 0")
        seen.append(steps_in(address, MEASURED))
        changes.append(effect(address, 0.1 + 0.001 * (number + 1)))
        page.close()
        print(f"steps     {alone[-1]:.0f} a second alone, {seen[-1]:.0f} with a page", flush=True)
    page = chromium.new_page()
    pictures: list[float] = []
    page.on("response", lambda response: pictures.append(time.perf_counter()))
    page.goto(address)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    page.wait_for_timeout(20_000)
    measured = [memory(session)]
    pictures.clear()
    begun = time.perf_counter()
    while time.perf_counter() - begun < 60 * arguments.minutes:
        page.wait_for_timeout(60_000 if arguments.minutes >= 1 else 60_000 * arguments.minutes)
        measured.append(memory(session))
        print(f"memory    {measured[-1][0]:.2f} MB, {measured[-1][1]} elements", flush=True)
    rate = len(pictures) / (time.perf_counter() - begun)
    chromium.close()

cost = statistics.median(1 - b / a for a, b in zip(alone, seen, strict=True))
lines = [
    "# The lab's page",
    "",
    f"`python benchmarks/lab.py --minutes {arguments.minutes:g}`, on {NUMPY.describe()}. The",
    f"network is 784-128-10 with batches of 128; medians of {arguments.repeats}.",
    "",
    "| what | measured | wanted |",
    "|---|---|---|",
    f"| seconds until the page is ready | {statistics.median(ready):.2f} | 3 |",
    f"| speed of training lost to a page that is looked at | {100 * max(0.0, cost):.1f}% | 5% |",
    f"| seconds until a change has an effect | {statistics.median(changes):.3f} | 0.1, or a step |",
    f"| answers to the page in a second | {rate:.1f} | 5, less the time of each answer |",
    f"| memory of the page at first | {measured[0][0]:.2f} MB, {measured[0][1]} elements | |",
    f"| memory {arguments.minutes:g} minutes later | {measured[-1][0]:.2f} MB, {measured[-1][1]} "
    "elements | the same |",
    "",
    f"Memory each minute, in MB: {', '.join(f'{each:.2f}' for each, _ in measured)}.",
    "",
]
path_of_results = Path(__file__).with_name("results") / "lab.md"
path_of_results.write_text("\n".join(lines), encoding="utf-8")
print("\n".join(lines))
