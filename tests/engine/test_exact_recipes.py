"""Every recipe with `--precision exact` has one digest, wherever these tests run.

benchmarks/exact_digests.py made the file that they compare with. Other digests mean another
version of exact arithmetic: raise `exact.VERSION`, and make the file anew with --replace.
"""

import json
import os
import sys

import pytest
from helpers import processes
from helpers.mnist import ROOT

import mnistgpu
from mnistgpu.contradictions import learns_without_labels
from mnistgpu.maths import exact

SCRIPT = ROOT / "benchmarks" / "exact_digests.py"
PINNED = json.loads((ROOT / "benchmarks" / "results" / "exact-digests.json").read_text())
KERNELS = ("Haswell", "Zen", "SkylakeX", "Sandybridge", "Nehalem", "Prescott")
CHILD = """
import json, sys
sys.path.insert(0, "benchmarks")
from exact_digests import first_steps
from mnistgpu import backend
print(json.dumps({name: first_steps(name, backend.NUMPY) for name in sys.argv[1:]}))
"""


def first_digests(*recipes, **environment):
    """The digests after the first steps of recipes, computed by another process."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", CHILD, *recipes]
    done = processes.run(command, cwd=ROOT, env=variables, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def expected(*recipes):
    return {name: PINNED["recipes"][name]["first"] for name in recipes}


def test_the_file_is_of_this_version():
    assert PINNED["version"] == exact.VERSION
    every = {name: each.settings for name, each in mnistgpu.RECIPES.items()}
    found = [name for name, each in every.items() if not learns_without_labels(each)]
    assert list(PINNED["recipes"]) == found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classic", "fast", "accurate"])
def test_the_first_steps_of_a_recipe(name):
    assert first_digests(name) == expected(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long", "strong", "clothes", "record"])
def test_the_first_steps_of_a_large_recipe(name):
    assert first_digests(name) == expected(name)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
def test_the_kernels_of_other_processors(kernels):
    recipes = ("classic", "fast", "accurate")
    assert first_digests(*recipes, OPENBLAS_CORETYPE=kernels) == expected(*recipes)


@pytest.mark.slow
def test_the_whole_of_fast():
    run = mnistgpu.fit(recipe="fast", precision="exact", progress=False)
    assert run.digest == PINNED["recipes"]["fast"]["end"]
    assert run.results["digests"]["20"] == PINNED["recipes"]["fast"]["first"]
    assert run.test_accuracy == PINNED["recipes"]["fast"]["test_accuracy"]
