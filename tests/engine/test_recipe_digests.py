"""Every recipe's first steps have the bits that they had before: a digest of the parameters.

A change that means to alter bits makes the digests anew, in a commit that says why:
`python tests/engine/recipe_digests.py >tests/engine/recipe_digests.json`.
"""

import json
import platform
import sys
from pathlib import Path

import pytest
from helpers import processes
from helpers.mnist import ROOT

SCRIPT = Path(__file__).with_name("recipe_digests.py")
PINNED = json.loads(SCRIPT.with_suffix(".json").read_text())
RECIPES = [name for name in PINNED if name not in ("made_with", "kernels")]
ROUNDING = 0.02  # float32, Adam: a weight whose gradient is next to 0 may go either way


def output(*arguments):
    done = processes.run([sys.executable, SCRIPT, *arguments], cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def found(name):
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip(f"the digests are those of x86-64 with AVX2, not of {platform.machine()}")
    return output(name)


# record's network has twelve million parameters: its twenty steps take most of the time of all.
# long and clothes take the steps of accurate and strong, of other sizes and lengths.
SLOW = ("record", "long", "clothes")
QUICK_AND_SLOW = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in RECIPES
]


@pytest.mark.parametrize("name", QUICK_AND_SLOW)
def test_the_first_steps_of_a_recipe_have_the_same_bits(found, name):
    if found["kernels"] != PINNED["kernels"] or found["made_with"] != PINNED["made_with"]:
        pytest.skip(
            f"the digests were made with {PINNED['made_with']} ({PINNED['kernels']}); "
            f"this is {found['made_with']} ({found['kernels']})"
        )
    assert found[name] == PINNED[name]


@pytest.mark.slow
def test_two_workers_change_rounding_alone():
    apart = output("--two-workers", "classic", "fast", "accurate", "strong")
    for name in ("classic", "fast", "accurate", "strong"):
        assert apart[name] < ROUNDING, name
