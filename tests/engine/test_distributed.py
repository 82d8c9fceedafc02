"""Data parallel over ranks: as many give what one gives, to rounding; in exact mode to the bit."""

import threading

import numpy as np
import pytest
from helpers.step_cases import BASE, CASES, IMAGES, sums_at_rows
from helpers.thread_ranks import on_ranks

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine import stepping
from mnistgpu.engine.distributed import Alone
from mnistgpu.engine.gradient import rows_of_a_shard
from mnistgpu.engine.trainer import Trainer
from mnistgpu.runs import training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.settings import Settings


@pytest.fixture
def few(digits):
    images, labels = digits
    return data.Digits(images[:IMAGES], labels[:IMAGES], "train")


def trained(settings, digits, communicator=None, workers=1):
    """All vectors and the sums at each row, after the steps of a trainer in the fastest form."""
    trainer = Trainer(settings, digits, NUMPY, workers, communicator)
    with trainer.engine.running(), stepping.stepping(trainer, processes=1) as step:
        sums = sums_at_rows(trainer, step)
    return trainer.vectors(), sums


def far(found, expected):
    """The largest distance of two sets of vectors, relative to the largest number in each."""
    return max(
        float(np.abs(found[name] - expected[name]).max() / (np.abs(expected[name]).max() + 1e-9))
        for name in expected
    )


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_ranks_give_what_one_process_gives(name, size, few):
    settings = BASE.changed(**CASES[name])
    expected, rows = trained(settings, few)
    every = on_ranks(size, lambda rank: trained(settings, few, rank))
    for found, sums in every:
        for vector in expected:  # every rank has the same bits
            assert found[vector].tobytes() == every[0][0][vector].tobytes()
        if settings.is_exact:
            assert all(np.array_equal(found[key], expected[key]) for key in expected)
            assert sums == rows
        else:
            assert far(found, expected) < 2e-3
            for ours, theirs in zip(sums, rows, strict=True):
                assert ours[0] == pytest.approx(theirs[0], rel=1e-3)  # the sum of losses
                assert ours[1:] == pytest.approx(theirs[1:], abs=3)  # right answers, and images


@pytest.mark.parametrize(("size", "batch"), [(1, 108), (4, 108), (7, 108), (2, 110)])
def test_more_ranks_than_the_last_batch_has_images_or_groups(size, batch, few):
    """With batch normalisation there are 2 groups for all ranks. The last batch has 2 images, or
    groups of 55 and 45."""
    settings = BASE.changed(batch_size=batch, batch_norm=True, epochs=2)
    expected, rows = trained(settings, few)
    for found, sums in on_ranks(size, lambda rank: trained(settings, few, rank)):
        assert far(found, expected) < 1e-3
        assert [row[2] for row in sums] == [row[2] for row in rows]


@pytest.mark.parametrize("name", ["dropout and noise", "batch norm", "exact, disturbed"])
def test_ranks_of_several_threads(name, few):
    settings = BASE.changed(**CASES[name])
    expected, _ = trained(settings, few)
    for found, _ in on_ranks(2, lambda rank: trained(settings, few, rank, workers=2)):
        if settings.is_exact:
            assert all(np.array_equal(found[key], expected[key]) for key in expected)
        assert far(found, expected) < 2e-3


def test_no_rank_has_much_more_than_its_share(few):
    settings = BASE.changed(batch_size=100, epochs=1)

    def shares(rank):
        engine = Trainer(settings, few, NUMPY, 1, rank).engine
        return sum(len(part) * engine.shard_rows for part in engine.cut(slice(0, 100)))

    assert on_ranks(3, shares) == [34, 34, 34]
    assert rows_of_a_shard(settings, 100, on_cpu=True) == 100


def test_one_rank_gives_the_bits_of_none(few):
    settings = BASE.changed(**CASES["dropout and noise"])
    alone, with_ranks = trained(settings, few), trained(settings, few, Alone())
    assert far(with_ranks[0], alone[0]) < 1e-4  # one shard instead of two halves
    plain = BASE.changed(optimizer="adam")
    alone, with_ranks = trained(plain, few), trained(plain, few, Alone())
    assert all(np.array_equal(with_ranks[0][name], alone[0][name]) for name in alone[0])


class Ending(Callback):
    """Ends a run on every rank, since one of them asks for it with its vote."""

    def __init__(self, communicator, step):
        self.communicator, self.at = communicator, step

    def begin(self, trainer, progress, stop):
        self.stop = stop

    def step(self, trainer, progress):
        if self.communicator.rank == 1 and trainer.taken == self.at:
            self.communicator.vote[1] = 1.0
        if self.communicator.voted[1]:
            self.stop.finish()


@pytest.mark.parametrize("precision", ["float32", "exact"])
def test_a_whole_run_of_three_ranks(precision, digits):
    """History, results and network are those of one process, in exact mode to the bit."""
    images, labels = digits
    dataset = data.Dataset(
        data.Digits(images[:901], labels[:901], "train"),
        data.Digits(images[901:1300], labels[901:1300], "test"),
        "the first digits",
    )
    settings = Settings(layers="784-12-10").changed(
        epochs=3, batch_size=100, validation=101, precision=precision, early_stopping=2
    )
    expected = training.train(settings, dataset, NUMPY)
    every = on_ranks(3, lambda rank: training.train(settings, dataset, NUMPY, communicator=rank))
    for found in every:
        assert [row.iteration for row in found.history] == [1, 8, 16, 24]
        if precision == "exact":
            assert found.results["digests"] == expected.results["digests"]
            for ours, theirs in zip(found.history, expected.history, strict=True):
                assert ours.train_loss == theirs.train_loss
                assert ours.validation_loss == theirs.validation_loss
        assert found.results["test_accuracy"] == pytest.approx(
            expected.results["test_accuracy"],
            abs=0.003,  # one image of 399
        )
        assert found.model.theta.tobytes() == every[0].model.theta.tobytes()
    stopped = on_ranks(
        3,
        lambda rank: training.train(
            settings, dataset, NUMPY, [Ending(rank, 10)], communicator=rank
        ),
    )
    assert {each.results["iterations"] for each in stopped} == {12}


@pytest.mark.parametrize("name", ["adam, warm-up", "batch norm", "exact"])
def test_every_backend_gives_what_numpy_gives(name, other_space, few):
    """One rank, through the same packed vector; the votes stay on the host."""
    settings = BASE.changed(**CASES[name])
    expected = Trainer(settings, few, NUMPY, 1)
    found = Trainer(settings, few, other_space.backend(), 1, Alone())
    for trainer in (expected, found):
        with trainer.engine.running():
            for _ in range(6):
                loss, right, images = trainer.step()
        assert (0 <= int(right) <= images, float(loss) > 0) == (True, True)
    assert far(found.vectors(), expected.vectors()) < (1e-12 if settings.is_exact else 1e-3)


def test_ranks_leave_the_fast_form_together(few, monkeypatch):
    """Also if a comparison fails on one of them alone, whose processor may be another one."""
    settings = BASE.changed(optimizer="adam", learning_rate=0.01, epochs=1)
    compared, ranks = stepping.difference, threading.local()

    def different(*arguments):
        return compared(*arguments) or ("moved theta differently" if ranks.number == 1 else "")

    monkeypatch.setattr(stepping, "difference", different)

    def steps(rank):
        ranks.number, said = rank.rank, []
        trainer = Trainer(settings, few, NUMPY, 1, rank)
        with trainer.engine.running(), stepping.stepping(trainer, said.append, 1) as step:
            assert step == trainer.step
            sums_at_rows(trainer, step)
        return said[0], trainer.theta.tobytes()

    every = on_ranks(3, steps)
    assert "fast ones moved theta differently" in every[1][0]
    assert "fast ones differ on another rank" in every[0][0] == every[2][0]
    assert len({theta for _, theta in every}) == 1
