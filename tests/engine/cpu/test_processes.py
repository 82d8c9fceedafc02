"""Steps shared among processes are the steps of one."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine.cpu import process_group, processes, tensor_parallel
from mnistgpu.engine.cpu.process_group import ProcessGroup
from mnistgpu.engine.cpu.tensor_parallel import RankBuffers, RankSteps, TensorParallel
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.maths import optimizers
from mnistgpu.settings import Settings

pytestmark = pytest.mark.skipif(
    not process_group.is_possible(), reason="no forked processes compute here"
)

BASE = Settings(init="he", validation=0, iterations=10**6)
TENSOR_PARALLEL = {
    "plain": {"layers": "784-16-10", "batch_size": 64},
    "deep": {"layers": "784-12-9-7-10", "batch_size": 64},
    "adam": {"layers": "784-11-8-10", "batch_size": 300, "optimizer": "adam"},
    "decayed": {"layers": "784-16-10", "batch_size": 64, "weight_decay": 0.1},
    "penalised": {"layers": "784-16-10", "batch_size": 64, "l2": 0.01},
    "pixels": {"layers": "784-12-10", "batch_size": 8, "min_ink": 0.0004},
    "centred": {"layers": "784-16-10", "batch_size": 64, "center": True},
    "both": {"layers": "784-120-10", "batch_size": 64, "min_ink": 0.02, "center": True},
    "averaged": {"layers": "784-16-10", "batch_size": 64, "ema": 0.9, "label_smoothing": 0.1},
    "momentum": {"layers": "784-16-12-10", "batch_size": 64, "optimizer": "nesterov"},
    "weighted": {"layers": "784-16-10", "batch_size": 64, "class_weight": "0:3,4:0.25"},
}
DATA_PARALLEL = {  # of 2,600; the last batch of an epoch is short, and may have fewer shards
    "full": {"layers": "784-10-10"},
    "exact": {"layers": "784-10", "precision": "exact"},
    "short": {"layers": "784-12-10", "batch_size": 2200, "optimizer": "momentum"},
    "noise": {"layers": "784-12-9-10", "batch_size": 1100, "input_noise": 0.3, "hidden_noise": 0.3},
    "normal": {"layers": "784-12-9-10", "batch_size": 1200, "batch_norm": True},
    "more normal": {"layers": "784-9-10", "batch_size": 1800, "batch_norm": True, "center": True},
    "dropped": {"layers": "784-12-10", "batch_size": 1100, "hidden_dropout": 0.3, "ema": 0.9},
    "deformed": {
        "layers": "784-12-10",
        "batch_size": 1100,
        "rotation": 10.0,
        "optimizer": "adam",
        "clean_ending": 0.5,
        "min_ink": 0.02,
        "iterations": 4,
    },
    "tanh": {"layers": "784-12-10", "batch_size": 1200, "activation": "tanh"},
    "weighted": {"layers": "784-12-10", "batch_size": 2200, "class_weight": "0:3,4:0.25"},
    "adversarial": {
        "layers": "784-12-10",
        "batch_size": 1100,
        "adversarial": 1.0,
        "batch_norm": True,
        "optimizer": "adam",
    },
    "consistency": {
        "layers": "784-12-10",
        "batch_size": 1100,
        "consistency": 1.0,
        "rotation": 10.0,
        "min_ink": 0.02,
    },
    "information": {"layers": "784-12-10", "batch_size": 2000, "information": 0.5},
    "denoising": {
        "layers": "784-12-10",
        "batch_size": 1100,
        "denoising": 50.0,
        "batch_norm": True,
        "input_noise": 0.3,
        "hidden_noise": 0.2,
        "optimizer": "adam",
    },
    "balanced": {"layers": "784-12-10", "class_weight": "balanced", "hidden_dropout": 0.2},
}


@pytest.fixture
def train(digits):
    return data.Digits(*digits, "the first digits")


@pytest.fixture
def many(digits):
    images, labels = digits
    rows = np.arange(2600) % len(labels)
    return data.Digits(images[rows], labels[rows], "the first digits again and again")


def after(settings, train, count, steps, workers=None, most=1):
    """What a trainer holds after so many steps by `count` processes, and the sums of its steps."""
    trainer = Trainer(settings, train, NUMPY, workers)
    sums = []
    with trainer.engine.running(), stepping(trainer, pytest.fail, count) as step:
        while trainer.taken < steps:
            loss, right, images = step(most=min(most, steps - trainer.taken))
            sums.append((float(loss), int(right), images))
        inside = trainer.vectors()
    for name, values in inside.items():
        assert np.array_equal(values, trainer.arrays()[name])
    return inside | {"plain": trainer.plain()}, sums, trainer.learning_rate


COUNTS = [2, pytest.param(3, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("case", TENSOR_PARALLEL)
def test_tensor_parallel_changes_nothing_but_rounding(digits, case, count):
    settings = BASE.changed(**TENSOR_PARALLEL[case], precision="float64", schedule="linear")
    few = 5 * settings.batch_size - 3
    train = data.Digits(digits[0][:few], digits[1][:few], "the first digits")
    steps = 11  # with the short batches of two epochs, but not so many that rounding grows
    alone, sums, rate = after(settings, train, 1, steps)
    shared, sums_shared, rate_shared = after(settings, train, count, steps)
    assert alone.keys() == shared.keys()
    assert rate == rate_shared
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(sums_shared, sums, rtol=1e-9)


def test_a_stop_waits_for_few_steps(train):
    """Some ten milliseconds."""
    together = []
    for layers, batch in (("784-128-10", 32), ("784-128-10", 1), ("784-2500-2000-10", 1)):
        settings = BASE.changed(layers=layers, batch_size=batch)
        trainer = Trainer(settings, train, NUMPY)
        together.append(TensorParallel(trainer, ProcessGroup(2)).together)
    assert together == [16, 16, 1]


@pytest.mark.parametrize("case", TENSOR_PARALLEL)
def test_steps_taken_together_are_those_taken_one_by_one(train, case):
    """To the bit; with short batches in between, and ends of epochs, which no steps go across."""
    settings = BASE.changed(**TENSOR_PARALLEL[case], schedule="linear", iterations=100)
    settings = settings.changed(batch_size=min(settings.batch_size, 150))
    one_by_one, sums, rate = after(settings, train, 2, 75)
    together, sums_together, rate_together = after(settings, train, 2, 75, most=75)
    assert rate == rate_together
    assert all(np.array_equal(together[name], one_by_one[name]) for name in one_by_one)
    per_epoch, most = -(-len(train) // settings.batch_size), tensor_parallel.TOGETHER
    assert len(sums_together) == sum(
        -(-min(per_epoch, 75 - first) // most) for first in range(0, 75, per_epoch)
    )
    np.testing.assert_allclose(np.sum(sums_together, axis=0), np.sum(sums, axis=0), rtol=1e-6)


@pytest.mark.parametrize("case", ["plain", "deep"])
@pytest.mark.parametrize("late", [0, 1])
def test_no_rank_writes_before_all_have_read(train, case, late, monkeypatch):
    settings, wait = BASE.changed(**TENSOR_PARALLEL[case]), ProcessGroup.wait

    def slowly(self):
        wait(self)
        if self.rank == late:
            time.sleep(0.002)

    expected = after(settings, train, 2, 16, most=16)
    monkeypatch.setattr(ProcessGroup, "wait", slowly)
    found = after(settings, train, 2, 16, most=16)
    assert found[1:] == expected[1:]
    assert all(np.array_equal(values, expected[0][name]) for name, values in found[0].items())


def test_steps_taken_together_end_where_they_would_without_a_pause(train):
    """So that losses are added up in the same order, and are the same to the bit."""
    trainer = Trainer(BASE.changed(**TENSOR_PARALLEL["plain"]), train, NUMPY)
    ends = []
    with trainer.engine.running(), stepping(trainer, processes=2) as step:
        for most in (1, 99, 3, 99, 99, 99, 2, 99):
            step(most=most)
            ends.append(trainer.taken)
    assert ends == [1, 16, 19, 32, 48, 64, 66, 80]


@pytest.mark.parametrize("workers", COUNTS)
@pytest.mark.parametrize("case", DATA_PARALLEL)
def test_data_parallel_gives_the_bits_of_threads(many, case, workers):
    settings = BASE.changed(**DATA_PARALLEL[case])
    assert len(Trainer(settings, many, NUMPY, workers).engine.shards) == workers
    steps = 4  # with the short last batch of an epoch and a step of the next one
    by_threads = after(settings, many, 1, steps, workers)
    by_processes = after(settings, many, workers, steps, workers)
    assert by_threads[1:] == by_processes[1:]
    for name, values in by_threads[0].items():
        assert np.array_equal(by_processes[0][name], values), name


@pytest.mark.parametrize("case", ["plain", "adam"])
def test_shared_steps_are_repeated_to_the_bit(train, case):
    settings = BASE.changed(**TENSOR_PARALLEL[case])
    first, sums, _ = after(settings, train, 2, 20)
    again, sums_again, _ = after(settings, train, 2, 20)
    assert sums == sums_again
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_what_belongs_to_an_image_lies_in_one_piece(train):
    """3 to 4% of a step with a thousand units."""
    settings = BASE.changed(**TENSOR_PARALLEL["deep"])
    trainer = Trainer(settings, train, NUMPY)
    steps = RankSteps(TensorParallel(trainer, ProcessGroup(2)))
    buffers = RankBuffers(steps.shares, steps.sizes, 64)
    gathered = [buffers.A[1], buffers.A[2], buffers.dA[0], buffers.dA[1]]
    of_images = [*gathered, *buffers.dZ, buffers.Z[-2], *buffers.zero]
    assert len(of_images) == 4 + 3 + 1 + 3
    assert all(each.flags.f_contiguous and each.shape[1] == 64 for each in of_images)
    assert steps.trainer.params[0][0].flags.f_contiguous


def slowly(settings):
    """The optimiser of these settings, late in every process but this one."""
    here, usual = os.getpid(), optimizers.OPTIMIZERS[settings.optimizer]

    def apply(*arguments):
        if os.getpid() != here:
            time.sleep(0.02)
        usual.apply(*arguments)

    return replace(usual, apply=apply)


@pytest.mark.parametrize("changes", [TENSOR_PARALLEL["adam"], DATA_PARALLEL["full"]])
def test_a_step_is_over_when_every_rank_has_taken_it(train, changes, monkeypatch):
    settings = BASE.changed(**changes)
    expected = after(settings, train, 2, 3, 2)
    monkeypatch.setitem(optimizers.OPTIMIZERS, settings.optimizer, slowly(settings))
    found = after(settings, train, 2, 3, 2)
    assert found[1:] == expected[1:]
    assert all(np.array_equal(values, expected[0][name]) for name, values in found[0].items())


def test_every_rank_takes_the_step_that_the_trainer_is_at(train):
    thetas = []
    for count in (1, 2):
        settings = BASE.changed(**TENSOR_PARALLEL["adam"], precision="float64")
        trainer = Trainer(settings, train, NUMPY)
        with trainer.engine.running(), stepping(trainer, processes=count) as step:
            step()
            trainer.taken = 4
            step(0.003)
            assert trainer.learning_rate == 0.003
        thetas.append(trainer.theta)
    np.testing.assert_allclose(*thetas, rtol=1e-8)


def processes_for(train, workers=4, **changes):
    return processes.number_of_processes(Trainer(BASE.changed(**changes), train, NUMPY, workers))


def test_which_steps_are_shared(train):
    wide = {"layers": "784-512-10", "batch_size": 64}
    assert processes_for(train, **wide) == 4
    assert processes_for(train, **wide, workers=99) == 16
    assert processes_for(train, layers="784-512-10", workers=99) == 2  # as many as there are shards
    assert processes_for(train, **wide, workers=1) == 1
    assert (
        processes_for(train, layers="784-128-10", batch_size=32) == 3
    )  # for more, too little work
    assert processes_for(train, layers="784-48-10", batch_size=1000) == 3  # or units
    assert processes_for(train, layers="784-30-10", batch_size=1000) == 1
    assert processes_for(train, layers="784-10", batch_size=1000) == 1  # no hidden units
    assert processes_for(train, layers="784-10-10", workers=2) == 2  # by images
    assert processes_for(train, **wide, weight_decay=0.1) == 4
    for one_for_all in ({"clip_norm": 1.0}, {"max_norm": 3.0}):
        assert processes_for(train, **wide, **one_for_all) == 1
        assert processes_for(train, layers="784-10-10", **one_for_all) == 1
    assert processes_for(train, layers="784-10-10", l2=0.1) == 1
    assert processes_for(train, layers="784-10-10", weight_decay=0.1) == 1
    assert processes_for(train, **wide, hidden_noise=0.1) == 2  # by images: two shards
    few = {"layers": "784-30-10", "hidden_noise": 0.1}
    assert processes_for(train, **few, batch_size=100) == 2  # which is just enough work for two
    assert processes_for(train, **few, batch_size=80) == 1
    assert processes_for(train, layers="784-4001-10", batch_size=64, activation="tanh") == 1


def test_nothing_is_shared_where_no_process_can_be_forked(train, monkeypatch):
    monkeypatch.setattr(processes, "is_possible", lambda: False)
    assert processes_for(train, layers="784-512-10", batch_size=64) == 1


def test_steps_are_shared_outside_the_main_thread(train):
    settings = BASE.changed(**TENSOR_PARALLEL["plain"])
    with ThreadPoolExecutor(1) as thread:
        there = thread.submit(after, settings, train, 2, 5).result()
    here = after(settings, train, 2, 5)
    assert there[1:] == here[1:]
