"""--json of evaluate, compare, doctor and recipes: every figure as it is, and null for nan."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.command import run_here as run

import mnistgpu
from mnistgpu.commands.output import as_json


def strictly(text):
    """The value of a JSON text, which may hold neither NaN nor Infinity."""

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def sevens(tmp_path_factory, digits):
    """40 images of one class, as a CSV: figures of all other classes are 0/0."""
    images = digits[0][digits[1] == 7][:40]
    path = tmp_path_factory.mktemp("sevens") / "train.csv"
    header = ",".join(["label", *(f"pixel{i}" for i in range(784))])
    table = np.column_stack([np.full(40, 7), images])
    np.savetxt(path, table, "%d", ",", header=header, comments="")
    return path


def test_evaluate(sevens, tmp_path):
    page = tmp_path / "page.html"
    done = run("evaluate", "shipped", "--data", sevens, "--report", page, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found, expected = strictly(done.stdout), mnistgpu.evaluate("shipped", sevens)
    assert (found["count"], found["right"], found["network"]) == (40, expected.right, "shipped")
    assert found["accuracy"] == expected.accuracy
    assert tuple(found["interval"]) == expected.interval
    assert found["calibration_error"] == expected.calibration_error
    assert found["confusion"] == expected.confusion.tolist()
    assert found["recall"][7] == expected.classes.recall[7]
    assert found["recall"][0] is None
    assert len(found["reliability"]["counts"]) == 15
    assert [row["confidence"] for row in found["thresholds"]][:2] == [0.5, 0.6]
    assert [curve["name"] for curve in found["robustness"]] == [
        curve.trial.name.lower() for curve in expected.curves
    ]
    assert found["robustness"][0]["accuracy"] == expected.curves[0].accuracy
    assert found["report"] == str(page)
    assert page.exists()


def test_compare(sevens):
    done = run("compare", "shipped", "shipped", "--data", sevens, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found, expected = strictly(done.stdout), mnistgpu.compare("shipped", "shipped", sevens)
    assert (found["count"], found["p_value"], found["better"]) == (40, 1.0, None)
    first, second = found["networks"]
    assert first == second
    assert first["accuracy"] == expected.accuracies[0]
    assert first["right_alone"] == 0
    assert len(first["interval"]) == 2


@pytest.mark.slow
def test_doctor():
    done = run("doctor", "--json")
    found = strictly(done.stdout)
    assert done.returncode == (0 if all(finding["good"] for finding in found) else 1)
    assert found[0]["subject"] == "packages"
    assert {"subject", "text", "good", "cure"} == set(found[0])


@pytest.mark.slow
def test_a_bad_finding_is_in_the_json_and_in_the_exit_status():
    done = run("doctor", "--json", "--backend", "cupy:99")
    assert done.returncode == 1
    bad = [finding for finding in strictly(done.stdout) if not finding["good"]]
    assert bad[0]["subject"] == "backend"
    assert bad[0]["cure"]


def test_recipes():
    found = strictly(run("recipes", "--json").stdout)
    assert list(found) == list(mnistgpu.RECIPES)
    fast = mnistgpu.RECIPES["fast"]
    assert found["fast"]["settings"] == fast.settings.as_dict()
    assert found["fast"]["purpose"] == fast.purpose


@dataclass
class Thing:
    path: Path
    numbers: np.ndarray


def test_what_becomes_of_values():
    thing = Thing(Path("a"), np.array([0.1, np.nan, np.inf]))
    value = {"t": thing, "n": np.float32(0.5), "b": np.True_, "none": None, 3: (1, "x")}
    assert strictly(as_json(value)) == {
        "t": {"path": "a", "numbers": [0.1, None, None]},
        "n": 0.5,
        "b": True,
        "none": None,
        "3": [1, "x"],
    }
    assert as_json(0.1 + 0.2) == "0.30000000000000004"
