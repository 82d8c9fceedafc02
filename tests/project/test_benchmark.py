"""benchmarks/cpu.py runs to its end, with whatever peers there are; memory grows as promised."""

import json
import os
import subprocess
import sys

import pytest
from helpers.mnist import ROOT


@pytest.mark.slow
def test_the_benchmark_on_a_tiny_size(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "cpu.py", "--tiny", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "cpu.json").read_text())
    assert found["sections"][0]["title"] == "784-10-10, SGD, full batch"
    for section in found["sections"]:
        for times in section["times"].values():
            assert 0 < times["low"] <= times["median"] <= times["high"]
    text = (tmp_path / "cpu.md").read_text()
    assert "| mnistgpu |" in text
    for name in found["sections"][0]["missing"]:
        assert f"Left out: {name}" in text


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_training_needs_little_more_memory_than_its_images(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(ROOT)
    from speed import processes

    _, memory = processes.growth(200_000, repeats=1)
    assert memory < 1.3


def test_two_versions_take_turns(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import versions
    from speed.tasks import Task

    turns = versions.Turns(ROOT, "mnistgpu", Task("784-12-10", 64, images=2000))
    try:
        assert turns.seconds() > 0
        turns.process.kill()
        with pytest.raises(RuntimeError, match="status -9"):
            turns.answer()
    finally:
        turns.process.kill()
        turns.process.wait()


@pytest.mark.parametrize("call", [1e-5, 1e-2])
def test_a_block_of_steps_takes_the_time_asked_for(call, monkeypatch):
    """Whatever it costs to begin one: at first, at each new count, and at each call."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from speed import clock

    seen, now, step = set(), 0.0, 5e-5

    def work(count):
        nonlocal now
        now += call + count * step + (0.5 if count not in seen else 0.0)
        seen.add(count)

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now)
    count = clock.count_for(work, 0.3)
    assert 0.2 < call + count * step < 0.4
