"""What a person may rely on when a run moves between backends: the same model, the same accuracy.

`python -m pytest -m gpu` runs the CuPy half of this and of `test_backends_agree.py` on a machine
with a GPU; the other half proves the same on array-api-strict everywhere.
"""

import dataclasses
import os
import statistics
import subprocess
import sys

import numpy as np
import pytest
from helpers.mnist import ROOT

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.engine.trainer import Trainer
from mnistgpu.models import model
from mnistgpu.recipes import RECIPES
from mnistgpu.runs.outcome import evaluate
from mnistgpu.settings import Settings

SMALL = Settings(layers="784-20-10").changed(
    iterations=12, batch_size=96, optimizer="adam", init="he", learning_rate=0.01, min_ink=0.01
)


def trained(settings, train, backend, steps=None):
    """A trainer after its steps: as `training.train`, by one worker and without a history."""
    trainer = Trainer(settings, train, backend, workers=1)
    with trainer.engine.running():
        for _ in range(steps or trainer.steps):
            trainer.step()
    return trainer


def saved(trainer, path):
    """The model of a trainer, written to a file."""
    theta = trainer.backend.to_numpy(trainer.plain())
    settings = trainer.settings
    model.save(model.Model(theta, settings.sizes, settings=settings.as_dict()), path)
    return path


def test_a_model_is_saved_on_one_backend_and_loaded_on_the_other(other_space, digits, tmp_path):
    images, there = digits[0], other_space.backend()
    for writer, reader in ((there, NUMPY), (NUMPY, there)):
        trainer = trained(SMALL, Digits(*digits, "digits"), writer)
        loaded = model.load(saved(trainer, tmp_path / f"{writer.name}.safetensors"))
        expected = writer.to_numpy(loaded.probabilities(images, writer))
        found = reader.to_numpy(loaded.probabilities(images, reader))
        assert np.abs(found - expected).max() < 1e-5
        np.testing.assert_array_equal(loaded.theta, writer.to_numpy(trainer.plain()))
        assert np.mean(loaded.predict(images, reader) == digits[1]) > 0.6  # it has learnt


REPEATED = {
    "plain": {},
    "full batch": {"batch_size": None},
    "regularised": {
        "batch_norm": True, "input_noise": 0.3, "hidden_noise": 0.2, "hidden_dropout": 0.1,
        "clip_norm": 1.0, "max_norm": 3.0, "ema": 0.9, "l2": 1e-4,
    },
    "deformed": {
        "rotation": 12.0, "scaling": 0.12, "shear": 0.15, "shift": 2.0, "mirror": 0.5,
        "elastic": 1.1,
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", REPEATED.values(), ids=REPEATED)
def test_a_repeated_run_is_equal_to_the_bit(space, digits, changes):
    train = Digits(*digits, "digits")
    runs = [trained(SMALL.changed(**changes), train, space.backend(), steps=6) for _ in range(2)]
    first, second = (space.get(run.theta) for run in runs)
    np.testing.assert_array_equal(first, second)
    other = trained(SMALL.changed(seed=1, **changes), train, space.backend(), steps=6)
    assert not np.array_equal(first, space.get(other.theta))


def accuracies(settings, dataset, backend, seeds=(0, 1, 2)):
    """The test accuracy of each seed."""
    found = []
    for seed in seeds:
        trainer = trained(settings.changed(seed=seed), dataset.train, backend)
        found.append(evaluate(trainer.plain(), settings, dataset.test, backend)[1])
    return found


def agree(here, there):
    """Whether two lists of accuracies differ by no more than seeds do (three standard errors)."""
    spread = max(statistics.stdev(here), statistics.stdev(there), 1e-4)
    error = spread * (1 / len(here) + 1 / len(there)) ** 0.5
    return abs(statistics.mean(here) - statistics.mean(there)) <= 3 * error


def test_accuracies_that_differ_are_told_apart():
    assert agree([0.980, 0.982, 0.981], [0.981, 0.982, 0.980])
    assert not agree([0.980, 0.982, 0.981], [0.974, 0.976, 0.975])


RUNS = {
    "classic": RECIPES["classic"].settings.changed(iterations=200, validation=0),
    "fast": RECIPES["fast"].settings,
}


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_accuracy_on_the_gpu_is_that_of_the_cpu(settings):
    from mnistgpu.backend import select
    from mnistgpu.errors import BackendError

    try:
        gpu = select("cupy")
    except BackendError as error:
        pytest.skip(str(error))
    dataset = data.load()
    here, there = (accuracies(settings, dataset, backend) for backend in (NUMPY, gpu))
    print(f"numpy {here}, cupy {there}")
    assert agree(here, there), (here, there)


# what this project or its tests may use, besides numpy, cupy, pytest, pandas, matplotlib, typer,
# rich and safetensors, which are all that a GPU's machine must have
EXTRAS = (
    "array_api_strict", "h11", "httpx", "hypothesis", "jax", "nvmath", "playwright",
    "scipy", "sklearn", "starlette", "threadpoolctl", "torch", "uvicorn",
)  # fmt: skip


ABSENT = f"""
import sys

class Absent:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent)
"""


def without_extras(code):
    """A process that runs this code where none of EXTRAS can be imported."""
    return subprocess.run(
        [sys.executable, "-c", ABSENT + code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_the_gpu_suite_is_collected_without_what_a_gpu_machine_may_lack():
    flags = ["--collect-only", "-q", "-m", "gpu", "-p", "no:hypothesispytest"]
    done = without_extras(f"import pytest; sys.exit(pytest.main({flags}))")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]
    assert "test_gpu.py::test_accuracy_on_the_gpu_is_that_of_the_cpu[fast]" in done.stdout
    assert "error" not in done.stdout.splitlines()[-1]


def test_a_step_is_taken_without_what_a_gpu_machine_may_lack():
    """Also by several workers, each of which wants BLAS for itself."""
    done = without_extras(
        "from mnistgpu import backend, data, settings; "
        "from mnistgpu.engine.trainer import Trainer; "
        "s = settings.Settings(iterations=1, hidden_dropout=0.1); "
        "t = Trainer(s, data.load().train, backend.NUMPY, workers=2); "
        "assert len(t.engine.shards) == 2\n"
        "with t.engine.running(): print(float(t.step()[0]) > 0)"
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_recipes_of_the_suite_are_the_ones_people_run():
    assert dataclasses.replace(RUNS["classic"], iterations=2000, validation=1000) == Settings()
