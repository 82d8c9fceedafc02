"""The benchmark for a GPU, as far as a CPU can run it: times, table, and what was left out."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.mnist import ROOT

SCRIPT = ROOT / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("benchmark_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_gpu", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


@pytest.fixture
def works(gpu):
    from speed import gpu_works

    return gpu_works


@pytest.fixture
def report(gpu):
    from speed import gpu_report

    return gpu_report


def test_a_peer_is_measured_and_one_that_breaks_is_left_out(gpu, works, monkeypatch, capsys):
    names = [work.name for work in works.TINY.works[:2]]
    monkeypatch.setitem(gpu.PEERS, "broken", lambda *arguments: 1 / 0)
    gpu.run_peer("mnistgpu numpy", names, "cpu", 0.001, works.TINY)
    gpu.run_peer("broken", names[:1], "cpu", 0.001, works.TINY)
    *measured, broken = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [each["work"] for each in measured] == names
    assert all(0 < each["low"] <= each["ms"] <= each["high"] for each in measured)
    assert broken["why"] == "ZeroDivisionError: division by zero"


def test_the_table_shows_what_was_measured_and_why_the_rest_was_not(works, report):
    work = works.LARGE[0]
    result = {
        "machine": "a GPU",
        "software": "numpy 2",
        "steps": {work.name: {"mnistgpu cupy": {"ms": 2.0}, "torch eager": {"ms": 3.0}}},
        "limits": [
            {"limit": "copy", "value": 4000.0, "why": ""},
            {"limit": "product", "value": None, "why": "no nvmath"},
        ],
        "whole": [
            {"whole": "classic", "backend": "cupy", "precision": "float32", "graph": False,
             "seconds": 9.0, "training": 7.0, "accuracy": 0.92},
        ],
        "left out": ["jax scan: not installed"],
    }  # fmt: skip
    text = report.table(result)
    row = next(line for line in text.splitlines() if work.name in line)
    assert [cell.strip() for cell in row.split("|")[2:6]] == ["2.000", "-", "-", "3.000"]
    assert f"{work.operations / 2e9:.1f}" in row
    assert "| product | - (no nvmath) |" in text
    assert "| classic, cupy | float32 | eager | 9.0 | 7.0 | 0.9200 |" in text
    assert "- jax scan: not installed" in text
    steps, goals = text.split("| goal |")
    assert works.SMALL[0].name not in steps  # nothing was measured there
    assert f"| {works.SMALL[0].name} | <= 0.5 of PyTorch eager | - | - |" in goals


def test_the_arithmetic_of_a_step(works):
    """Ciresan's largest net takes 4.07 TFLOP an epoch, as its parameters say."""
    work = works.LARGE[0]
    epoch = work.operations * works.IMAGES / work.batch
    assert epoch == pytest.approx(4.07e12, rel=0.03)


def record(accuracy, seconds):
    return {"whole": "record", "accuracy": accuracy, "seconds": seconds}


def test_a_goal_is_reached_or_missed_or_not_measured(works, report):
    full, small, wide, wide32 = (
        works.SMALL[0].name, works.SMALL[1].name, works.LARGE[0].name, works.LARGE[2].name
    )  # fmt: skip
    assert (wide32, wide) == (f"{works.WIDE}, B=1024, float32", f"{works.WIDE}, B=1024, tf32")

    def timed(**times):
        return {peer.replace("_", " "): {"ms": ms} for peer, ms in times.items()}

    result = {
        "steps": {
            full: timed(
                mnistgpu_cupy=0.4,
                mnistgpu_graph=0.1,
                mnistgpu_bytes=0.08,
                torch_eager=0.3,
                jax_scan=0.08,
            ),
            small: timed(mnistgpu_cupy=0.06, torch_eager=0.3) | {"jax scan": {"why": "none"}},
            wide: timed(mnistgpu_graph=2.0, torch_eager=2.5),
            wide32: timed(mnistgpu_cupy=4.0, mnistgpu_numpy=100.0),
        },
        "limits": [
            {"limit": works.COPY, "value": 0.16},
            {
                "limit": works.PRODUCT.format("tf32"),
                "value": works.LARGE[0].operations / 1e9,
            },  # 1 ms
        ],
        "whole": [record(0.9972, 90.0), record(0.9976, 130.0), record(0.9971, 80.0)],
    }
    found = [(name, *row) for name, *row in report.goals(result)]
    assert found == [
        (full, "<= 0.5 of PyTorch eager", "0.33", "yes"),
        (full, "<= 1 of the best peer", "1.25", "no"),
        (full, "<= 1.5 of reading the images once", "1.25", "yes"),
        (full, "<= 1 of the same by products of floats, if of bytes", "0.80", "yes"),
        (small, "<= 0.3 of PyTorch eager", "0.20", "yes"),
        (small, "<= 1 of PyTorch's graph", "-", "-"),
        (small, "<= 1 of JAX scan", "-", "-"),
        (wide, "<= 0.9 of PyTorch eager", "0.80", "yes"),
        (wide, "<= 1.5 of the arithmetic", "2.00", "no"),
        (f"{wide32}, on the GPU", "<= 0.05 of the CPU's time", "0.04", "yes"),
        ("record, whole run", ">= 99.70% in <= 120 s", "80 s", "yes"),
        ("record, whole run", ">= 99.75% in <= 120 s", "130 s", "no"),
    ]
    result["whole"] = [record(0.9969, 60.0)]
    assert [row[2:] for row in report.goals(result)][-2:] == [("at most 99.69%", "no")] * 2
    nothing = {"steps": {}, "limits": [], "whole": []}
    assert {row[2:] for row in report.goals(nothing)} == {("-", "-")}


@pytest.mark.parametrize("checks", [False, True], ids=["measurements", "all"])
@pytest.mark.parametrize("minutes", [8.0, 40.0])
def test_no_part_takes_the_time_that_is_kept_for_another(gpu, checks, minutes):
    planned = gpu.scaled(gpu.parts("cuda", list(gpu.PEERS), [], checks), minutes / 8)
    left, given = minutes * 60, []
    for place in range(len(planned)):  # each takes all that it is given
        given.append(gpu.shared_out(planned, place, left))
        left -= given[-1]
    assert left >= 0
    for part, seconds in zip(planned, given, strict=True):
        assert part.kept <= seconds <= part.allowed
    first = next(part for part in planned if part.name.startswith("record"))
    assert first.name == "record, tf32, replayed"
    assert first.kept >= 120  # which is its goal
    names = [part.name for part in planned]
    for name in ("fast, bf16", "record, float32", "record, tf32", "record, float32, replayed"):
        assert name in names


@pytest.mark.slow
def test_what_a_part_has_started_ends_with_it(gpu, monkeypatch, tmp_path):
    script, note = tmp_path / "hangs.py", tmp_path / "pid"
    script.write_text(
        "import pathlib, subprocess, sys, time\n"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(str(own.pid))\n"
        "print('{}', flush=True)\n"
        "time.sleep(60)"
    )
    monkeypatch.setattr(gpu, "__file__", str(script))
    monkeypatch.setattr(gpu, "LEAST_SECONDS", 0.0)
    started = time.monotonic()
    assert gpu.child([], 3) == [{}, {"why": "not done after 3 s"}]
    assert time.monotonic() - started < 20
    assert ended(int(note.read_text()))


def ended(pid):
    """Whether a process has ended: it is gone, or a zombie that its parent has not waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + 5
    while status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


NOTES = """#!/bin/sh
echo "$@" >>"$NOTED"
[ "$1" != -c ]
"""


@pytest.fixture
def noted(monkeypatch, tmp_path):
    """noted(script, *arguments): what a script of benchmarks/ asks of Python, which does nothing.

    No package is installed, and there is one wheel.
    """
    stub, log, wheels = tmp_path / "python", tmp_path / "log", tmp_path / "wheels"
    stub.write_text(NOTES)
    stub.chmod(0o755)
    wheels.mkdir()
    (wheels / "nvmath_python-1.0-py3-none-any.whl").touch()
    changes = {"PYTHON": str(stub), "NOTED": str(log), "WHEELS": str(wheels)}

    def run(script, *arguments):
        command = ["sh", str(ROOT / "benchmarks" / script), *arguments]
        subprocess.run(
            command, env={**os.environ, **changes}, check=True, stdout=subprocess.DEVNULL
        )
        return log.read_text().splitlines()

    return run


@pytest.mark.skipif(os.name == "nt", reason="a script for the shell of Linux")
def test_one_script_does_all_on_a_machine_without_a_network(noted, tmp_path):
    looked, installed, measured = noted("on_gpu.sh", str(tmp_path), "--minutes", "7")
    assert "version('nvmath_python')" in looked
    assert installed.startswith("-m pip install --quiet --no-index --no-deps --target ")
    assert installed.endswith("nvmath_python-1.0-py3-none-any.whl")
    assert measured == f"benchmarks/gpu.py --all --out {tmp_path} --minutes 7"


def test_where_a_test_fails_the_script_fails(gpu, monkeypatch, tmp_path):
    failed = {"check": "suite", "said": "exit status 1; 1 failed", "passed": False}
    monkeypatch.setattr(gpu, "child", lambda part, limit: [failed] * ("suite" in part))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--all", "--cpu", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="suite failed; what was printed is in"):
        gpu.main()
    assert "1 failed" in (tmp_path / "gpu-cpu.json").read_text()


def test_all_ends_in_time_and_says_what_was_left_out(tmp_path):
    command = [sys.executable, SCRIPT, "--all", "--cpu", "--minutes", "0", "--out", tmp_path]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=60)
    text = (tmp_path / "gpu-cpu.md").read_text()
    for part in ("doctor", "suite", "mnistgpu numpy", "classic, float32"):
        assert f"- {part}: no time was left" in text


def test_a_part_that_hangs_or_breaks_is_said(gpu):
    assert gpu.child(["--part", "whole"], 2) == [{"why": "no time was left"}]
    found = gpu.child(["--no-such-flag"], 60)
    assert found[-1]["why"].startswith("exit status 2: ")
