"""What the lab's page takes: until it is ready, until a change has an effect, speed, memory.

Run:  python benchmarks/lab.py [--minutes 10] [--repeats 5]

A run of the lab is measured alone and with a Chromium that looks at it, in turn; nothing is
attached to that Chromium, since what listens to a browser costs as much again. On the same cores
training loses what the page takes and what it waits for because of that; with the browser on a core
of its own, what the lab itself takes. Processor time is counted beside both, since it does not
depend on what else the machine does. Memory is measured once a minute, after a collection of what
the page no longer needs. Takes four minutes and --minutes. Writes benchmarks/results/lab.md. Needs
Linux, playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from mnistgpu.backend import NUMPY

SETTINGS = ("--layers", "784-128-10", "--init", "he", "--batch-size", "128", "--alpha", "0.1")
LONG = ("--epochs", "100000")
MEASURED, SETTLES = 4.5, 3.0  # seconds of training that are measured, and before these
WINDOW = 1280, 800
TICK = os.sysconf("SC_CLK_TCK")
# what the page shows: the end of its address, and the part that is opened
SHOWS = {
    "as it is opened": ("", None),
    "weights and digits": ("#units", None),
    "what the layers see": ("", "layers"),
    "a neuron": ("", "neuron"),
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--minutes", type=float, default=10.0, help="of memory (10)")
parser.add_argument("--repeats", type=int, default=5, help="of the page as it is opened (5)")
arguments = parser.parse_args()
fewer = max(1, arguments.repeats // 2)  # of what else it shows


class Lab:
    """A lab in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]):
        assert process.stdout is not None
        self.process = process
        self.address = process.stdout.readline().split()[2]
        self.connection = http.client.HTTPConnection(self.address.split("/")[2], timeout=30)

    def ask(self, path: str, **body: Any) -> Any:
        """The answer to a request, all of which go through one connection."""
        content = json.dumps({"browser": "benchmark", **body}) if body else None
        asked = "POST" if body else "GET", f"/{path}", content, {"Content-Type": "application/json"}
        try:
            self.connection.request(*asked)
            return json.loads(self.connection.getresponse().read())
        except ConnectionError:  # nothing was asked for so long that the server has closed it
            self.connection.close()
            self.connection.request(*asked)
            return json.loads(self.connection.getresponse().read())

    def state(self, brief: bool = True) -> Any:
        """The state of the run, without its history."""
        return self.ask("state?after=99999999" + ("&brief=1" if brief else ""))

    def server_seconds(self) -> float:
        """Processor time of the threads that answer; the main thread trains."""
        own = self.process.pid
        threads = [each for each in os.listdir(f"/proc/{own}/task") if int(each) != own]
        return sum(seconds_of(f"/proc/{own}/task/{each}") for each in threads)


@contextlib.contextmanager
def running(cores: set[int]) -> Iterator[Lab]:
    """A lab that may use these cores, once its run has begun, before the first step."""
    command = [sys.executable, "-u", "-m", "mnistgpu.cli", "lab", "--port", "0", "--no-browser"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, *SETTINGS, *LONG, "--out", f"{folder}/run"],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        try:
            lab = Lab(process)
            while "step" not in lab.state():
                time.sleep(0.01)
            yield lab
        finally:
            end(process)


def seconds_of(task: str) -> float:
    """Processor time of a process or thread, by its directory in /proc; 0 if it has ended."""
    try:
        numbers = Path(task, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(numbers[11]) + int(numbers[12])) / TICK


def family(process: int) -> list[int]:
    """A process, and those that it has begun."""
    found = [process]
    for each in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if int(Path("/proc", each, "stat").read_text().rpartition(")")[2].split()[1]) in found:
                found.append(int(each))
    return found


def end(process: subprocess.Popen[Any]) -> None:
    """End a process, by force if it does not end when it is asked to."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    """Whether a program on this machine listens on a port."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def looking(address: str, part: str | None, cores: set[int]) -> Iterator[int]:
    """A Chromium that shows the page; the number of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [
                *(CHROMIUM, "--headless=new", "--no-sandbox", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                f"--window-size={WINDOW[0]},{WINDOW[1]}",
                *(f"--user-data-dir={folder}", f"--remote-debugging-port={port}", address),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        try:
            until = time.monotonic() + 30
            while not is_open(port) and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(SETTLES)
            if part is not None:  # opened by who then leaves
                with sync_playwright() as playwright:
                    browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
                    browser.contexts[0].pages[0].click(f"#tab-{part}")
                    browser.close()
                time.sleep(1.0)
            yield process.pid
        finally:
            end(process)


@dataclass
class Looked:
    """A stretch of training: steps a second, and shares of one core."""

    speed: float
    server: float
    browser: float
    pictures: float


def stretch(lab: Lab, browser: int | None = None, pictures: bool = False) -> Looked:
    """Let it train for a while."""

    def now() -> tuple[float, float, float, int, int]:
        every = [] if browser is None else family(browser)
        spent = sum(seconds_of(f"/proc/{each}") for each in every)
        state = lab.state(brief=not pictures)  # with pictures it says how many there were
        at = time.perf_counter()
        return at, lab.server_seconds(), spent, state["step"], state.get("view", 0)

    first = now()
    time.sleep(MEASURED)
    begun, *before = first
    ended, *after = now()
    server, spent, steps, views = (b - a for a, b in zip(before, after, strict=True))
    seconds = ended - begun
    return Looked(steps / seconds, server / seconds, spent / seconds, views / seconds)


def pairs(lab: Lab, shows: str, repeats: int, cores: set[int]) -> list[tuple[Looked, Looked]]:
    """Training alone, and with a browser on these cores that looks at it."""
    end, part = SHOWS[shows]
    found = []
    for _ in range(repeats):
        alone = stretch(lab)
        with looking(lab.address + end, part, cores) as browser:
            seen = stretch(lab, browser, pictures=end != "")
        found.append((alone, seen))
        print(f"steps     {alone.speed:.0f} a second alone, {seen.speed:.0f} with {shows};", end="")
        print(f" browser {seen.browser:.1%} of a core, server {seen.server:.1%}", flush=True)
    return found


def row(shows: str, found: list[tuple[Looked, Looked]], cores: int) -> str:
    """A row of the table: the loss and the processor time."""
    loss = statistics.median(1 - seen.speed / alone.speed for alone, seen in found)
    browser, server, pictures = (
        statistics.median(getattr(seen, name) for _, seen in found)
        for name in ("browser", "server", "pictures")
    )
    share = (browser + server) / cores
    moves = f"{pictures:.1f}" if pictures > 0 else ""
    return f"| {shows} | {loss:.1%} | {browser:.1%} | {server:.1%} | {share:.1%} | {moves} |"


def effect(lab: Lab, rate: float) -> float:
    """Seconds from a change of the learning rate until the run has it."""
    begun = time.perf_counter()
    lab.ask("do", action="change", name="learning_rate", value=rate)
    while lab.state()["settings"]["learning_rate"] != rate:
        pass
    return time.perf_counter() - begun


def memory(session: Any) -> tuple[float, int]:
    """MB of the page's JavaScript, and its elements, once what it no longer needs is collected."""
    session.send("HeapProfiler.collectGarbage")
    measures = session.send("Performance.getMetrics")["metrics"]
    found = {each["name"]: each["value"] for each in measures}
    return found["JSHeapUsedSize"] / 1e6, int(found["Nodes"])


def over_minutes(lab: Lab, minutes: float) -> tuple[list[tuple[float, int]], float]:
    """Memory of the page each minute, and how often it asks, while its pictures are seen."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": WINDOW[0], "height": WINDOW[1]})
        answers: list[float] = []
        page.on("response", lambda response: answers.append(time.perf_counter()))
        page.goto(lab.address + "#units")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        page.wait_for_timeout(10_000)
        measured = [memory(session)]
        answers.clear()
        begun = time.perf_counter()
        while time.perf_counter() - begun < 60 * minutes:
            page.wait_for_timeout(60_000 * min(1.0, minutes))
            measured.append(memory(session))
            print(f"memory    {measured[-1][0]:.2f} MB, {measured[-1][1]} elements", flush=True)
        rate = len(answers) / (time.perf_counter() - begun)
        chromium.close()
    return measured, rate


with sync_playwright() as playwright:
    CHROMIUM = shutil.which("chromium") or playwright.chromium.executable_path
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    ready, drawn = [], []
    every = os.sched_getaffinity(0)
    for _ in range(arguments.repeats):
        begun = time.perf_counter()
        with running(every) as lab:
            ready.append(time.perf_counter() - begun)
            page = chromium.new_page()
            page.goto(lab.address)
            page.wait_for_selector("#units canvas", state="attached")
            drawn.append(time.perf_counter() - begun)
            page.close()
        print(f"ready     {ready[-1]:.2f} s, drawn in a browser {drawn[-1]:.2f} s", flush=True)
    chromium.close()

rows, changes = [], []
with running(every) as lab:
    lab.ask("do", action="start")
    time.sleep(SETTLES)
    for shows in SHOWS:
        repeats = arguments.repeats if shows == "as it is opened" else fewer
        rows.append(row(shows, pairs(lab, shows, repeats, every), len(every)))
    with looking(lab.address, None, every):
        for number in range(4 * arguments.repeats):
            changes.append(effect(lab, 0.1 + 0.001 * (number + 1)))
            time.sleep(0.3)
    print(f"change    {statistics.median(changes):.3f} s, at most {max(changes):.3f} s", flush=True)
    measured, rate = over_minutes(lab, arguments.minutes)
if len(every) > 1:
    one, *others = sorted(every)
    with running({one}) as lab:
        lab.ask("do", action="start")
        time.sleep(SETTLES)
        found = pairs(lab, "as it is opened", fewer, set(others))
        rows.append(row("as it is opened, the browser on a core of its own", found, len(every)))

facts = NUMPY.describe()
machine = f"{facts['device']}, numpy {facts['numpy']}"
lines = [
    "# The lab's page",
    "",
    f"`python benchmarks/lab.py --minutes {arguments.minutes:g}`, on {machine}. The",
    f"network is 784-128-10 with batches of 128; medians of {arguments.repeats}, of {fewer} of all",
    "that the page shows but what it is opened with.",
    "",
    "| what | measured | wanted |",
    "|---|---|---|",
    f"| seconds until the page can be asked for | {statistics.median(ready):.2f} | 3 |",
    f"| seconds until it is drawn in a browser | {statistics.median(drawn):.2f} | 3 |",
    f"| seconds until a change has an effect | {statistics.median(changes):.3f} (at most "
    f"{max(changes):.3f}) | 0.1, or a step |",
    f"| requests of the page in a second | {rate:.1f} | 5, less where a picture takes long |",
    f"| memory of the page at first | {measured[0][0]:.2f} MB, {measured[0][1]} elements | |",
    f"| memory {arguments.minutes:g} minutes later | {measured[-1][0]:.2f} MB, {measured[-1][1]} "
    "elements | the same |",
    "",
    "What training pays while a Chromium looks, of which at most 5% is wanted. The loss is of its",
    "speed; processor time is in shares of one core, and of all cores that training has. The steps",
    "of this network are shared by processes that wait for each other, so each loses what is taken",
    "from the other one as well, and the loss is up to as often the share as there are cores.",
    "",
    "| the page shows | speed lost | browser | server | both, of all cores | pictures a second |",
    "|---|---|---|---|---|---|",
    *rows,
    "",
    f"Memory each minute, in MB: {', '.join(f'{each:.2f}' for each, _ in measured)}.",
    "",
]
path_of_results = Path(__file__).with_name("results") / "lab.md"
path_of_results.write_text("\n".join(lines), encoding="utf-8")
print("\n".join(lines))
