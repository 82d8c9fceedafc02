"""Data parallel over ranks: as many give what one gives, to rounding; in exact mode to the bit."""

import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.resuming import StopAfter
from helpers.step_cases import BASE, CASES, IMAGES, sums_at_rows
from helpers.thread_ranks import ThreadRank, on_ranks

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine import divided_update, stepping
from mnistgpu.engine.distributed import Alone
from mnistgpu.engine.gradient import rows_of_a_shard
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import RunError, StoppedError
from mnistgpu.runs import training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing, Every
from mnistgpu.settings import Settings


@pytest.fixture(autouse=True)
def divided(monkeypatch):
    """Each rank updates its part of the parameters also where they are few."""
    monkeypatch.setattr(divided_update, "MANY", 0)


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


def first_digits(digits, count, end):
    """A set of the first `count` digits, with those after them up to `end` for the test."""
    images, labels = digits
    return data.Dataset(
        data.Digits(images[:count], labels[:count], "train"),
        data.Digits(images[count:end], labels[count:end], "test"),
        "the first digits",
    )


@pytest.mark.parametrize("precision", ["float32", "exact"])
def test_a_whole_run_of_three_ranks(precision, digits):
    """History, results and network are those of one process, in exact mode to the bit."""
    dataset = first_digits(digits, 901, 1300)
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


class Counted(ThreadRank):
    """Counts the sums of the whole gradient, and of parts of it."""

    def begin(self):
        self.whole, self.parts = [], []
        return self

    def all_reduce(self, vector):
        if not self.scattering:
            self.whole.append(len(vector))
        super().all_reduce(vector)

    scattering = False

    def reduce_scatter(self, vector):
        self.parts.append(len(vector))
        self.scattering = True
        own = super().reduce_scatter(vector)
        self.scattering = False
        return own


PARAMETERS = 784 * 12 + 12 + 12 * 10 + 10
NEEDS_ALL = ({"clip_norm": 1.0}, {"max_norm": 2.0}, {"l2": 1e-3}, {"weight_decay": 0.1})


@pytest.mark.parametrize(
    ("changes", "many", "divided"),
    [
        ({}, PARAMETERS, True),
        ({}, PARAMETERS + 1, False),
        ({}, divided_update.MANY, False),  # as it is, unpatched
        *((changes, 0, False) for changes in NEEDS_ALL),
    ],
)
def test_each_rank_updates_its_part_if_many_are_to_be_updated_alone(
    changes, many, divided, few, monkeypatch
):
    """Whole gradients are added up for the comparison and before a row of history alone."""
    monkeypatch.setattr(divided_update, "MANY", many)
    settings = BASE.changed(optimizer="adam", learning_rate=0.01, epochs=2, **changes)

    def counted(rank):
        trained(settings, few, rank.begin())
        return rank.whole, rank.parts

    for whole, parts in on_ranks(2, counted, kind=Counted):
        long = [length for length in whole if length > 1000]
        # of 14 steps, 2 end an epoch; and before the first, 2 are taken twice, to be compared
        assert (len(long), len(parts)) == ((2 + 2, 12 + 2) if divided else (14 + 4, 0))


@pytest.mark.parametrize("size", [1, 3, 300])
def test_the_blocks_of_all_ranks_are_the_vector(size):
    vector = np.arange(1000)
    blocks = [vector[Alone(rank, size).block(1000)] for rank in range(size)]
    assert np.array_equal(np.concatenate(blocks), vector)
    assert len({len(block) for block in blocks[:-1]}) <= 1


def test_the_last_step_of_a_long_run_is_taken_whole_by_every_rank(few):
    """Also where it does not end an epoch: it has a row of history all the same."""
    settings = BASE.changed(epochs=None, iterations=300, optimizer="adam")

    def taken(rank):
        trainer = Trainer(settings, few, NUMPY, 1, rank.begin())
        trainer.taken = 298
        with trainer.engine.running(), divided_update.steps(trainer, rank) as step:
            step()
            before = len(rank.parts)
            step()
        return before, len(rank.parts), len([n for n in rank.whole if n > 1000])

    assert on_ranks(2, taken, kind=Counted) == [(1, 1, 1)] * 2


class Keeping(Checkpointing):
    """Asks for a checkpoint after some steps, and keeps what would be saved by its step."""

    def __init__(self, every):
        super().__init__(Path(), None, "0" * 64, Every())
        self.at, self.found = every, {}

    def is_due(self, trainer):
        return trainer.taken % self.at == 0

    def save(self, trainer, progress):
        self.found[trainer.taken] = {n: v + 0.0 for n, v in trainer.vectors().items()}
        self._saved_at, self._owed = trainer.taken, False


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_checkpoint_of_rank_0_has_the_state_of_every_rank(ema, digits):
    """Rank 0 alone asks for it: due at steps 4 and 8, it is saved after the next ones, at the row
    of step 16 at once, and so is an interrupted run."""
    dataset = first_digits(digits, 400, 500)
    settings = Settings(layers="784-12-10").changed(
        epochs=9, batch_size=50, validation=0, precision="exact", optimizer="adam", ema=ema
    )
    expected = {}

    class Remembering(Callback):
        def step(self, trainer, progress):
            expected[trainer.taken] = {n: v + 0.0 for n, v in trainer.vectors().items()}

    training.train(settings, dataset, NUMPY, [Remembering()])

    def saved(rank):
        saving = Keeping(4)
        callbacks = [saving] if rank.rank == 0 else []
        with pytest.raises(StoppedError):
            training.train(settings, dataset, NUMPY, [*callbacks, StopAfter(18)], communicator=rank)
        return saving.found

    found = on_ranks(3, saved)[0]
    assert list(found) == [5, 8, 13, 16, 18]
    for step, vectors in found.items():
        for name, vector in vectors.items():
            assert vector.tobytes() == expected[step][name].tobytes(), (step, name)


def test_what_the_optimiser_remembers_is_read_after_all_ranks_have_sent_it(few):
    settings = BASE.changed(optimizer="adam", learning_rate=0.01, epochs=1)

    def read(rank):
        trainer = Trainer(settings, few, NUMPY, 1, rank)
        with trainer.engine.running(), stepping.stepping(trainer, processes=1) as step:
            step()
            with pytest.raises(RunError, match=r"call trainer.collect\(\) first, on every rank"):
                trainer.vectors()
            trainer.collect()
            return trainer.vectors()["second"].tobytes()

    assert len(set(on_ranks(2, read))) == 1


def test_ranks_leave_the_fast_form_together(few, monkeypatch):
    """Also if a comparison fails on one of them alone, whose processor may be another one."""
    settings = BASE.changed(optimizer="adam", learning_rate=0.01, epochs=1)
    compared = stepping.difference
    ranks = threading.local()

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
