"""`--precision exact` on other backends, on the kernels of other processors, and its digests."""

import json
import os
import sys

import numpy as np
import pytest
from helpers import other_blas, processes
from helpers.exact import BASE, CASES, bits, run
from helpers.mnist import ROOT
from helpers.spaces import Space

from mnistgpu import data
from mnistgpu.backend import NUMPY, are_kernels_used
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.runs.outcome import evaluate

KERNELS = ("Haswell", "Zen", "SkylakeX", "Sandybridge", "Nehalem", "Prescott")
CHILD = """
import json, sys
sys.path.insert(0, "tests")
from helpers.mnist import read_idx
from mnistgpu import data
from mnistgpu.backend import NUMPY, are_kernels_used
from mnistgpu.engine.stepping import stepping
from helpers.exact import BASE, CASES, run
images, labels = read_idx("train-images-idx3-ubyte", 450), read_idx("train-labels-idx1-ubyte", 450)
train = data.Digits(images, labels, "the first digits")
found = {name: run(BASE.changed(**CASES[name]), train) for name in sys.argv[1:]}
found["control"] = run(BASE.changed(precision="float32"), train)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def train(digits):
    return data.Digits(digits[0][:450], digits[1][:450], "the first digits")


@pytest.mark.parametrize("case", CASES)
def test_another_backend_has_the_same_bits(train, case, other_space):
    settings, there = BASE.changed(**CASES[case]), other_space.backend()
    trainer = Trainer(settings, train, there)
    sums = []
    for _ in range(3):
        loss, right, _ = trainer.step()
        sums += [float(loss), int(right)]
    assert trainer.out_of_range() == ""
    found = {name: other_space.get(array) for name, array in trainer.arrays().items()}
    found |= {"plain": other_space.get(trainer.plain()), "sums": np.array(sums)}
    assert bits(found) == run(settings, train)


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "replayed"])
@pytest.mark.parametrize("case", CASES)
def test_the_kernels_of_a_gpu_have_the_same_bits(train, case, graph):
    """`stepping` compares them with plain steps, too, and warns where a bit differs."""
    there = Space("cupy")
    settings = BASE.changed(**CASES[case], graph=graph)
    trainer = Trainer(settings, train, there.backend())
    sums = []
    with trainer.engine.running(), stepping(trainer, pytest.fail) as step:
        assert are_kernels_used()
        for _ in range(3):
            loss, right, _ = step()
            sums += [float(loss), int(right)]
    found = {name: there.get(array) for name, array in trainer.arrays().items()}
    found |= {"plain": there.get(trainer.plain()), "sums": np.array(sums)}
    assert bits(found) == run(settings, train)


@pytest.mark.parametrize("case", ["plain", "inputs", "batch norm", "gelu"])
def test_another_backend_has_the_same_answers(train, case, other_space):
    settings = BASE.changed(**CASES[case])
    here = Trainer(settings, train, other_space.backend())
    here.step()
    theta = other_space.get(here.plain())
    model = Model(theta, settings.sizes, (28, 28), settings.activation, settings.as_dict())
    there = other_space.backend()
    expected = model.probabilities(train.images)
    assert np.array_equal(other_space.get(model.probabilities(train.images, there)), expected)
    one = np.concatenate([model.probabilities(train.images[i : i + 1]) for i in range(20)], axis=1)
    assert np.array_equal(one, expected[:, :20])  # whichever others are asked for with it
    figures = evaluate(other_space.put(theta), settings, train, there)
    assert figures == evaluate(theta, settings, train, NUMPY)


@pytest.mark.parametrize("maps", [0, 2])
def test_a_committee_has_the_same_answers_elsewhere(train, other_space, maps):
    """Also averaged over deformed copies."""
    members = []
    for seed in (0, 1):
        settings = BASE.changed(elastic=1.0, rotation=10.0, center=True, seed=seed)
        trainer = Trainer(settings, train, NUMPY)
        trainer.step()
        members.append(Model(trainer.plain(), settings.sizes, settings=settings.as_dict()))
    images, joined = train.images[:40], Committee(tuple(members), maps)
    expected = joined.probabilities(images)
    found = other_space.get(joined.probabilities(images, other_space.backend()))
    assert np.array_equal(found, expected)


def digests_with(*cases, **environment):
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = processes.run([sys.executable, "-c", CHILD, *cases], cwd=ROOT, env=variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_the_kernels_of_other_processors_have_the_same_bits(train):
    """OpenBLAS chooses its kernels by this variable; NumPy leaves out what the other one names."""
    here = {name: run(BASE.changed(**changes), train) for name, changes in CASES.items()}
    controls = set()
    others = [{"OPENBLAS_CORETYPE": name} for name in KERNELS]
    others += [{"OPENBLAS_NUM_THREADS": "2"}]
    others += [{"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"}]
    for environment in others:
        found = digests_with(*CASES, **environment)
        controls.add(found.pop("control"))
        assert found == here, environment
    assert len(controls) > 1  # float32, the control


@pytest.mark.slow
@pytest.mark.skipif(bool(other_blas.why_not()), reason=other_blas.why_not())
def test_another_blas_has_the_same_bits(train, tmp_path):
    """MKL, BLIS, ATLAS, the reference BLAS: whichever are there."""
    expected = {name: run(BASE.changed(**changes), train) for name, changes in CASES.items()}
    control = run(BASE.changed(precision="float32"), train)
    for path in other_blas.libraries():
        found = digests_with(*CASES, **other_blas.variables(path, tmp_path))
        assert found.pop("control") != control, path  # which shows that it multiplied
        assert found == expected, path


def test_two_kernels_have_the_same_bits(train):
    cases = ("deep", "batch norm, noise, dropout", "elastic, 1 and 7 apart")
    found = [digests_with(*cases, OPENBLAS_CORETYPE=name) for name in ("Haswell", "Prescott")]
    controls = {each.pop("control") for each in found}
    assert found[0] == found[1]
    assert len(controls) == 2


def test_the_digest_of_a_fixed_run(train):
    """Every machine must have this one; another means another version of exact arithmetic."""
    settings = BASE.changed(
        layers="784-12-10-10", optimizer="adam", learning_rate=0.01, schedule="cosine",
        batch_norm=True, hidden_noise=0.2, hidden_dropout=0.1, elastic=1.0, rotation=10.0,
        rotation_1_7=5.0, label_smoothing=0.05, center=True, activation="gelu", ema=0.9,
        clip_norm=1.0, max_norm=2.0, weight_decay=0.1,
    )  # fmt: skip
    assert run(settings, train)[:16] == "d065868343ddd322"


def test_the_digest_of_batches_of_a_power_of_two(train):
    """Each half of a batch, 32 images, is normalised: its sums have just the bits they need."""
    settings = BASE.changed(batch_norm=True, batch_size=64, layers="784-12-10-10")
    assert run(settings, train)[:16] == "fb55666a8af2626f"
