"""The benchmark for a GPU, as far as a CPU can run it: measured, tabled, and honest about gaps."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("benchmark_gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_gpu", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def test_a_peer_is_measured_and_one_that_breaks_is_left_out(gpu, monkeypatch, capsys):
    work = gpu.SMALL[1].name
    monkeypatch.setitem(gpu.PEERS, "broken", lambda work, device: 1 / 0)
    gpu.run_peer("mnistgpu numpy", [work], "cpu", 0.001)
    gpu.run_peer("broken", [work], "cpu", 0.001)
    measured, broken = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert 0 < measured["low"] <= measured["ms"] <= measured["high"]
    assert broken["why"] == "ZeroDivisionError: division by zero"


def test_the_table_shows_what_was_measured_and_why_the_rest_was_not(gpu):
    work = gpu.LARGE[0]
    result = {
        "machine": "a GPU",
        "software": "numpy 2",
        "steps": {work.name: {"mnistgpu cupy": {"ms": 2.0}, "torch eager": {"ms": 3.0}}},
        "limits": [
            {"limit": "copy", "value": 4000.0, "why": ""},
            {"limit": "product", "value": None, "why": "no nvmath"},
        ],
        "whole": [
            {"whole": "classic", "backend": "cupy", "seconds": 9.0, "training": 7.0,
             "accuracy": 0.92},
        ],
        "left out": ["jax scan: not installed"],
    }  # fmt: skip
    text = gpu.table(result)
    row = next(line for line in text.splitlines() if work.name in line)
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["2.000", "-", "3.000"]
    assert f"{work.operations / 2e9:.1f}" in row
    assert "| product | - (no nvmath) |" in text
    assert "| classic | cupy | 9.0 | 7.0 | 0.9200 |" in text
    assert "- jax scan: not installed" in text
    assert gpu.SMALL[0].name not in text  # nothing was measured there


def test_the_arithmetic_of_a_step(gpu):
    """Ciresan's largest net takes 4.07 TFLOP an epoch, as its parameters say."""
    work = gpu.LARGE[0]
    epoch = work.operations * gpu.IMAGES / work.batch
    assert epoch == pytest.approx(4.07e12, rel=0.03)


def test_a_part_that_hangs_or_breaks_is_said(gpu):
    assert gpu.child(["--part", "whole"], 2) == [{"why": "no time was left"}]
    found = gpu.child(["--no-such-flag"], 60)
    assert found[-1]["why"].startswith("exit status 2: ")
