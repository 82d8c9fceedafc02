"""`--precision exact`: the same bits whatever computes a step, and a control that must differ."""

import numpy as np
import pytest
from helpers import products
from helpers.exact import BASE, CASES, bits, run
from helpers.products import Checked

from mnistgpu import data, network
from mnistgpu.backend import NUMPY
from mnistgpu.engine.cpu import process_group
from mnistgpu.engine.cpu.bound_calls import bind_calls
from mnistgpu.engine.cpu.exact_calls import BoundExactShard
from mnistgpu.engine.exact_shard import ExactShard, finish
from mnistgpu.engine.inputs import Chance, Inputs
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths import exact, exact_grids

WAYS = {
    "einsum": products.einsum,
    "terms shuffled": products.shuffled_terms(1),
    "terms shuffled again": products.shuffled_terms(2),
    "split-K": products.in_blocks(7),
    "from -0": products.from_negative_zero,
}


@pytest.fixture(scope="module")
def train(digits):
    return data.Digits(digits[0][:450], digits[1][:450], "the first digits")


@pytest.mark.parametrize("case", CASES)
def test_any_product_and_any_cut_gives_the_same_bits(train, case):
    settings = BASE.changed(**CASES[case])
    expected = run(settings, train)
    for name, way in WAYS.items():
        assert run(settings, train, way) == expected, name
    for rows, workers in ((150, 1), (77, 1), (40, 2), (1, 1)):
        assert run(settings, train, shard_rows=rows, workers=workers) == expected, rows


def test_float32_and_float64_differ(train):
    """The control: the same steps in other precisions depend on what computes them."""
    for precision in ("float32", "float64"):
        settings = BASE.changed(precision=precision)
        found = {run(settings, train, way) for way in WAYS.values()}
        found |= {run(settings, train, shard_rows=rows) for rows in (150, 77, 40)}
        assert len(found) > 4, precision


@pytest.mark.parametrize("case", CASES)
def test_every_product_is_the_exact_one(train, case):
    """No product of a step is rounded at all: its sums are those of Python's integers."""
    checked = Checked()
    run(BASE.changed(**CASES[case]), train, checked, steps=1)
    assert checked.checked >= 100


def test_one_wrong_bit_in_one_sum_is_found(train):
    """A digest may not show it, since the next rounding hides it."""
    calls = 0

    def one_bit(a, b, out=None):
        nonlocal calls
        out, calls = np.matmul(a, b, out=out), calls + 1
        if calls == 4:
            out[0, 0] = np.nextafter(out[0, 0], np.inf)
        return out

    with pytest.raises(AssertionError):
        run(BASE.changed(layers="784-16-12-10"), train, Checked(one_bit), steps=1)


def test_a_product_in_float32_changes_the_bits(train):
    assert run(BASE, train, products.in_float32) != run(BASE, train)


def depends_on_the_cut(settings, train):
    return len({run(settings, train, shard_rows=rows) for rows in (150, 77, 40)}) > 1


def test_a_rounding_that_is_left_out_is_noticed(train, monkeypatch):
    settings = BASE.changed(layers="784-16-12-10")
    assert not depends_on_the_cut(settings, train)
    monkeypatch.setattr(ExactShard, "round_errors", lambda *arguments: None)
    assert depends_on_the_cut(settings, train)


def test_grids_finer_than_the_budget_are_noticed(train, monkeypatch):
    finer = {name: bits + 20 for name, bits in exact_grids.MOST.items()}
    monkeypatch.setattr(
        exact_grids, "plan", lambda *arguments: exact_grids.Grids(*arguments[2:], **finer)
    )
    assert depends_on_the_cut(BASE, train)


@pytest.mark.parametrize("case", ["plain", "deep", "batch norm", "gelu", "inputs"])
def test_the_gradient_is_that_of_float64(train, case):
    """As near as the grids allow: numbers below half of one become 0."""
    gradients, statistics = [], []
    for precision in ("exact", "float64"):
        settings = BASE.changed(**CASES[case], precision=precision)
        trainer = Trainer(settings, train, NUMPY)
        trainer.restore(
            {"theta": Trainer(BASE.changed(**CASES[case]), train, NUMPY).theta}
            | {name: array for name, array in trainer.arrays().items() if name != "theta"},
            0,
        )
        gradient, loss, right = trainer.engine.gradient(slice(0, 130))  # groups of 75 and 55
        statistics.append([each for layer in trainer.engine.batch_statistics for each in layer])
        gradients.append((gradient.copy(), float(loss), int(right)))
    (found, loss, right), (true, true_loss, true_right) = gradients
    assert np.linalg.norm(found - true) < 2e-2 * np.linalg.norm(true)
    assert loss == pytest.approx(true_loss, rel=1e-4)
    assert right == true_right
    for ours, theirs in zip(*statistics, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def on_grid(x, grid, bits):
    """Whether all numbers are multiples of the grid, of at most so many bits."""
    multiples = np.asarray(x) / grid
    return bool(np.all(multiples == np.rint(multiples)) and np.all(np.abs(multiples) <= 2.0**bits))


@pytest.mark.parametrize("case", ["deep", "noise", "batch norm, noise, dropout", "gelu"])
def test_the_factors_of_products_are_on_their_grids(train, case, monkeypatch):
    settings = BASE.changed(**CASES[case])
    trainer = Trainer(settings, train, NUMPY, 1)
    columns, images = trainer.engine.inputs.columns, []

    def kept(*arguments):
        images.append(columns(*arguments))
        return images[-1]

    monkeypatch.setattr(trainer.engine.inputs, "columns", kept)
    trainer.step()
    shard, grids = trainer.engine.shards[0], trainer.engine.inputs.grids
    buffers = next(iter(shard._buffers.values()))
    for layer, (W, _) in enumerate(shard.factors):
        bits = grids.weight_bits(layer)
        assert on_grid(W, float(exact.next_power_of_two(exact.largest(W))) * 2.0**-bits, bits)
    assert all(on_grid(X, grids.pixel_grid, grids.pixels) for X in images)
    assert images
    for layer, dZ in enumerate(buffers.dZ, 1):
        assert on_grid(buffers.A[layer], grids.activation_grid, grids.activations)
        assert on_grid(dZ, grids.error_grid, grids.errors)


@pytest.mark.parametrize("layers", ["784-10", "784-12-10", "784-9-8-7-10"])
def test_bound_calls_give_the_bits_of_plain_ones(train, layers):
    """And the same largest numbers, which stop a run beyond their range."""
    found = []
    for bound in (False, True):
        trainer = Trainer(BASE.changed(layers=layers), train, NUMPY, 1)
        if bound:
            bind_calls(trainer.engine, BoundExactShard)
        sums = [trainer.step()[:2] for _ in range(3)]
        largest = trainer.engine.shards[0].largest
        assert len(largest) == 2 * layers.count("-") - 2
        found.append(bits({**trainer.arrays(), "sums": np.array(sums), "largest": largest}))
    assert found[0] == found[1]
    shard = trainer.engine.shards[0]
    buffers, grid = shard.buffers_for(150), exact.magic(shard.grids.exponential_grid)
    exponentials = exact.to_grid(exact.exp(buffers.Z[-1]), grid)
    assert np.array_equal(buffers.row[0], exponentials.sum(axis=0))


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked process can compute here")
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("case", ["deep", "norms", "full batch", "batch norm, noise, dropout"])
def test_processes_give_the_same_bits(train, case, processes):
    """Batches shared out by units (tensor parallel), and those of many shards by images."""
    settings = BASE.changed(**CASES[case]).changed(clip_norm=None, max_norm=None)
    expected = run(settings, train)
    trainer = Trainer(settings, train, NUMPY, workers=processes)
    many = settings.batch_size is None or settings.batch_norm
    if settings.batch_size is None:
        trainer.engine.shard_rows = 100
    workers = processes if many else 1
    trainer.engine.shards = [trainer.engine.new_shard(trainer.theta) for _ in range(workers)]
    sums = []
    with trainer.engine.running(), stepping(trainer, pytest.fail, processes) as step:
        assert trainer.processes == processes
        while trainer.taken < 3:
            loss, right, _ = step(most=1)
            sums += [float(loss), int(right)]
        trainer.collect()
        assert trainer.out_of_range() == ""
        assert float(trainer.engine.shards[0].largest.min()) > 0
        found = {**trainer.arrays(), "plain": trainer.plain(), "sums": np.array(sums)}
    assert bits(found) == expected


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked process can compute here")
def test_the_grid_of_a_layer_follows_the_weights_of_all_processes(train):
    settings = BASE.changed(**CASES["deep"])
    found = []
    for processes in (1, 2):
        trainer = Trainer(settings, train, NUMPY, workers=1)
        for W, _ in trainer.params:
            W[: len(W) // 2] *= 0.02  # those of one process are far smaller
        with trainer.engine.running(), stepping(trainer, pytest.fail, processes) as step:
            for _ in range(3):
                step(most=1)
            trainer.collect()
            found.append(bits(trainer.arrays()))
    assert found[0] == found[1]


def test_theta_has_no_negative_zero(train):
    trainer = Trainer(BASE, train, NUMPY)
    trainer.engine.shards[0].matmul = products.from_negative_zero
    trainer.step()
    zeros = trainer.theta[trainer.theta == 0]
    assert not np.signbit(zeros).any()


def test_a_number_beyond_its_range_is_said(train):
    trainer = Trainer(BASE.changed(learning_rate=1e6), train, NUMPY)
    assert trainer.out_of_range() == ""
    with np.errstate(all="ignore"):
        for _ in range(3):
            trainer.step()
    assert "hidden layer 1 is" in trainer.out_of_range()
    trainer.engine.shards[0].largest[...] = 0.0
    assert trainer.out_of_range() == ""
    trainer.engine.shards[0].largest[1] = np.nan
    assert "a gradient by the sums of hidden layer 1 is nan" in trainer.out_of_range()


def test_first_parameters_are_those_of_float32(train):
    exactly = Trainer(BASE, train, NUMPY).theta
    single = Trainer(BASE.changed(precision="float32"), train, NUMPY).theta
    assert exactly.dtype == np.float64
    assert np.array_equal(exactly, single)


def test_the_plain_network_has_the_same_answers(train):
    """Selection and centring go into the weights without a sum that rounds."""
    settings = BASE.changed(center=True, min_ink=0.02)
    trainer = Trainer(settings, train, NUMPY)
    inputs = trainer.engine.inputs
    assert isinstance(inputs, Inputs)
    X = inputs.columns(inputs.crop(train.images), train.labels, Chance({}, 0, False), np.float64)
    params = network.layers(trainer.theta, trainer.engine.sizes)
    Z = params[0][0] @ (X * inputs.factor) + params[0][1]
    W, b = network.layers(trainer.plain(), settings.sizes)[0]
    assert np.allclose(W @ (train.images.T / 255.0) + b, Z, atol=1e-6)
    assert exact.VERSION == 1


@pytest.mark.parametrize("begin", [0, 3, 5, 6])
def test_a_part_of_a_sum_becomes_that_part_of_the_mean(begin):
    """Of ten numbers the first five are of W_1, and have the factor of the pixels besides."""
    whole = np.arange(1.0, 11.0)
    finish(whole, 5, 0.25, 8)
    assert whole.tolist() == [*(i / 32 for i in range(1, 6)), *(i / 8 for i in range(6, 11))]
    part = np.arange(1.0, 11.0)[begin:]
    finish(part, 5 - begin, 0.25, 8)
    assert part.tolist() == whole[begin:].tolist()
