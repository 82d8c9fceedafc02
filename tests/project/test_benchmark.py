"""benchmarks/cpu.py runs to its end with the peers that are installed; memory grows as promised."""

import json
import os
import sys

import pytest
from helpers import processes
from helpers.mnist import ROOT


def benchmark(*arguments):
    """Run benchmarks/cpu.py to its end; what it printed."""
    done = processes.run(
        [sys.executable, ROOT / "benchmarks" / "cpu.py", *arguments],
        timeout=600,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_benchmark_on_a_tiny_size(tmp_path):
    benchmark("--tiny", "--out", tmp_path)
    found = json.loads((tmp_path / "cpu.json").read_text())
    titles = [section["title"] for section in found["sections"]]
    assert titles[0] == "784-10-10, SGD, full batch"
    assert "784-10-10, SGD, full batch, set-up included" in titles
    assert "Recipe fast, a step as trained" in titles
    for section in found["sections"]:
        for times in section["times"].values():
            assert 0 < times["low"] <= times["median"] <= times["high"]
    text = (tmp_path / "cpu.md").read_text()
    assert "| mnistgpu |" in text
    for name in found["sections"][0]["missing"]:
        assert f"Left out: {name}" in text
    assert f"of {len(found['goals'])} goals are met" in text
    summary = (tmp_path / "cpu-summary.md").read_text()
    for title in titles[:2]:
        assert f"| {title} |" in summary


@pytest.mark.slow
def test_a_section_alone_is_measured_and_not_saved():
    saved = [path.stat().st_mtime_ns for path in sorted((ROOT / "benchmarks/results").iterdir())]
    printed = benchmark("--tiny", "--only", "recipes")
    assert "Recipe fast, a step as trained" in printed
    assert "section recipes: " in printed
    assert printed.count("\nsection ") == 1
    assert "saved in" not in printed
    assert saved == [
        path.stat().st_mtime_ns for path in sorted((ROOT / "benchmarks/results").iterdir())
    ]


def test_a_clean_ending_is_weighted_by_its_share(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from speed import clock, recipe_steps

    deformed, clean = clock.Times(10.0, 9.0, 12.0, 7), clock.Times(5.0, 4.0, 6.0, 7)
    mean = recipe_steps.weighted(deformed, clean, 0.1)
    assert (mean.median, mean.low, mean.high) == pytest.approx((9.5, 8.5, 11.4))


def test_missed_goals_are_named(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from speed import report

    met = {"work": "a step", "against": "JAX jit", "reached": 0.9, "goal": 1.0}
    missed = met | {"work": "a run", "reached": 1.01}
    assert report.verdict([met]) == "1 of 1 goals are met."
    assert report.verdict([met, missed]) == "1 of 2 goals are met. Missed: a run, against JAX jit."


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_training_needs_little_more_memory_than_its_images(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    monkeypatch.chdir(ROOT)
    from speed import processes

    _, memory = processes.growth(200_000, repeats=1)
    assert memory < 1.3


@pytest.mark.slow
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
        turns.process.communicate()


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
