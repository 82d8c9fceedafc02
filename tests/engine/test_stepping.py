"""The first steps of a run are compared with the plain form, which takes over where they differ."""

from functools import partial

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.engine import comparison, stepping
from mnistgpu.engine.cpu import bound_calls, data_parallel, process_group, tensor_parallel
from mnistgpu.engine.cpu.bound_calls import BoundShard, gradient_calls
from mnistgpu.engine.shard import Shard
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

BASE = Settings(init="he", validation=0, iterations=40, learning_rate=0.1)
WAYS = {  # settings, and among how many processes
    "bound calls": ({"layers": "784-12-10", "batch_size": 64}, 1),
    "threads": ({"layers": "784-12-10", "batch_size": 1800}, 1),
    "tensor parallel": ({"layers": "784-16-12-10", "batch_size": 64}, 2),
    "data parallel": ({"layers": "784-12-10", "batch_size": 1800}, 2),
    "with noise": ({"layers": "784-12-10", "batch_size": 64, "hidden_noise": 0.1}, 2),
    "with batch normalisation": ({"layers": "784-12-10", "batch_size": 64, "batch_norm": True}, 2),
    "adam": ({"layers": "784-16-10", "batch_size": 64, "optimizer": "adam"}, 2),
}
CASES = [
    pytest.param(
        *way,
        id=name,
        marks=pytest.mark.skipif(
            way[1] > 1 and not process_group.is_possible(),
            reason="no forked process can compute here",
        ),
    )
    for name, way in WAYS.items()
]


@pytest.fixture
def train(digits):
    return data.Digits(*digits, "the first digits")


def steps(trainer, processes, count=5):
    """What a trainer holds after some steps, and the warnings."""
    warnings = []
    with (
        np.errstate(all="ignore"),
        trainer.engine.running(),
        stepping.stepping(trainer, warnings.append, processes) as step,
    ):
        while trainer.taken < count:
            step()
    return {name: array.copy() for name, array in trainer.arrays().items()}, warnings


@pytest.mark.parametrize(("changes", "processes"), CASES)
def test_a_comparison_leaves_no_trace(train, changes, processes, monkeypatch):
    settings = BASE.changed(**changes)
    compared, warnings = steps(Trainer(settings, train, NUMPY, 2), processes)
    assert warnings == []
    monkeypatch.setattr(stepping, "difference", lambda *arguments: "")
    expected, _ = steps(Trainer(settings, train, NUMPY, 2), processes)
    assert compared.keys() == expected.keys()
    assert all(np.array_equal(compared[name], expected[name]) for name in expected)


def without(calls, index):
    return calls[:index] + calls[index + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "processes"), CASES[:4])
@pytest.mark.parametrize("index", [1, 2, 3, 8, 9, -1, -2, -6])
def test_a_call_that_is_missing_is_noticed(train, changes, processes, index, monkeypatch):
    """Steps are then taken in plain form, with a sentence, and have its results."""
    settings = BASE.changed(**changes)
    plain = Trainer(settings, train, NUMPY, 2)
    with plain.engine.running():
        for _ in range(5):
            plain.step()

    def planted(*arguments):
        calls = gradient_calls(*arguments)
        own = [i for i, call in enumerate(calls) if isinstance(call, partial)]
        return without(calls, own[index])

    monkeypatch.setattr(bound_calls, "gradient_calls", planted)
    trainer = Trainer(settings, train, NUMPY, 2)
    found, warnings = steps(trainer, processes)
    assert len(warnings) == 1
    assert warnings[0].startswith(
        "steps are taken in the plain form, which is slower: fast ones moved "
    )
    assert np.array_equal(found["theta"], plain.theta)
    assert all(type(shard) is Shard for shard in trainer.engine.shards)
    assert trainer.processes == 1


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked process can compute here")
def test_a_wrong_share_is_noticed(train, monkeypatch):
    """One rank updates fewer parameters than it should."""
    slice_of = data_parallel.DataParallel.slice_of

    def shorter(self, rank):
        own = slice_of(self, rank)
        return slice(own.start, own.stop - 2000 * rank)

    monkeypatch.setattr(data_parallel.DataParallel, "slice_of", shorter)
    settings = BASE.changed(layers="784-12-10", batch_size=1800)
    _, warnings = steps(Trainer(settings, train, NUMPY, 2), 2)
    assert len(warnings) == 1


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked process can compute here")
def test_even_and_odd_steps_are_compared(train, monkeypatch):
    """Each has memory of its own for the logits."""
    use = tensor_parallel.RankBuffers.use

    def mixed(self, parity):
        use(self, parity)
        if parity == 1:
            self.logits = self.double[0]

    monkeypatch.setattr(tensor_parallel.RankBuffers, "use", mixed)
    _, warnings = steps(Trainer(BASE.changed(layers="784-16-10", batch_size=64), train, NUMPY), 2)
    assert len(warnings) == 1


@pytest.mark.skipif(not process_group.is_possible(), reason="no forked process can compute here")
def test_parts_of_a_form_are_compared_once_in_a_run(train, monkeypatch):
    """A change of settings need not wait for a comparison that was made before."""
    check, checked, compared = stepping.check, [], set()

    def note(trainer, step, plain):
        checked.append((type(trainer.engine.shards[0]), type(trainer.shared)))
        return check(trainer, step, plain)

    monkeypatch.setattr(stepping, "check", note)
    shared, alone = {"layers": "784-12-10", "batch_size": 1800}, {"layers": "784-12-10"}
    noisy = shared | {"hidden_noise": 0.1}
    for changes, processes in (
        (shared, 2),
        (noisy, 2),
        (alone | {"batch_size": 64}, 1),
        (noisy, 2),
    ):
        trainer = Trainer(BASE.changed(**changes), train, NUMPY, 2)
        with trainer.engine.running(), stepping.stepping(trainer, None, processes, compared):
            pass
    assert checked == [(BoundShard, data_parallel.DataParallel)]
    tensor = BASE.changed(layers="784-16-12-10", batch_size=64)
    trainer = Trainer(tensor, train, NUMPY, 2)
    with trainer.engine.running(), stepping.stepping(trainer, None, 2, compared):
        pass
    assert checked[1:] == [(BoundShard, tensor_parallel.TensorParallel)]


def test_a_run_of_fewer_steps_is_compared_over_these(train):
    trainer = Trainer(BASE.changed(layers="784-16-10", batch_size=64, iterations=1), train, NUMPY)
    found, warnings = steps(trainer, 1, count=1)
    assert warnings == []
    assert trainer.taken == 1
    assert isinstance(trainer.engine.shards[0], BoundShard)
    assert np.any(found["theta"] != 0)


@pytest.mark.parametrize("next_ones", ["", "by an error"])
@pytest.mark.parametrize("batch_size", [64, None])
def test_where_the_first_steps_differ_the_next_ones_decide(
    train, next_ones, batch_size, monkeypatch
):
    """Rounding may turn a ReLU on, which moves much in a small network; an error moves all."""
    reasons = iter(["by rounding", next_ones])
    monkeypatch.setattr(stepping, "difference", lambda *arguments: next(reasons))
    trainer = Trainer(BASE.changed(layers="784-16-10", batch_size=batch_size), train, NUMPY, 1)
    _, warnings = steps(trainer, 1, count=1)
    assert [each.endswith(next_ones) for each in warnings] == [True] * bool(next_ones)
    assert next(reasons, None) is None
    assert isinstance(trainer.engine.shards[0], Shard if next_ones else BoundShard)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["theta", "the loss"])
def test_a_difference_counts_relative_to_what_plain_steps_move(name, sign):
    start = {"theta": np.full(100, 7.0)}
    expected = {"theta": start["theta"] + 3.0}, 4.0
    for share, said in (
        (0.9e-3, ""),
        (2e-3, f"moved {name} differently than plain steps, by 2e-03 of"),
    ):
        moved, loss = (share, 0.0) if name == "theta" else (0.0, share)
        found = {"theta": expected[0]["theta"] + sign * 3.0 * moved}, 4.0 + sign * 4.0 * loss
        why = comparison.difference(start, expected, found, 1e-3)
        assert why.startswith(said)
        assert bool(why) == bool(said)


def test_a_form_is_compared_once_in_a_run(train, monkeypatch):
    check, checked, compared = stepping.check, [], set()
    monkeypatch.setattr(stepping, "check", lambda *of: (checked.append(of), check(*of))[1])
    for batch_size in (64, 32):
        settings = BASE.changed(layers="784-12-10", batch_size=batch_size)
        trainer = Trainer(settings, train, NUMPY, 1)
        with trainer.engine.running(), stepping.stepping(trainer, None, 1, compared):
            assert isinstance(trainer.engine.shards[0], BoundShard)
    assert len(checked) == 1


def test_a_look_at_the_next_steps_leaves_a_trainer_as_it_was(train):
    settings = BASE.changed(layers="784-16-10", batch_size=64, optimizer="adam")
    trainer, other = (Trainer(settings, train, NUMPY, 1) for _ in range(2))
    for each in (trainer, other):
        each.step()
    before = {name: vector.copy() for name, vector in trainer.vectors().items()}
    (found, loss), taken = comparison.after(trainer, trainer.step, 2), trainer.taken
    assert taken == 1
    for name, vector in trainer.vectors().items():
        np.testing.assert_array_equal(vector, before[name])
    losses = [float(other.step()[0]) for _ in range(2)]
    assert loss == sum(losses)
    for name, vector in other.vectors().items():
        np.testing.assert_array_equal(found[name], vector)


@pytest.mark.parametrize(("changes", "processes"), CASES)
def test_a_resumed_run_makes_the_comparison_of_its_beginning(
    train, changes, processes, monkeypatch
):
    """So that it goes on in the form in which it began, and then to the bit."""
    compared = []
    difference = stepping.difference

    def noted(start, expected, found, tolerance):
        compared.append((start, expected))
        return difference(start, expected, found, tolerance)

    monkeypatch.setattr(stepping, "difference", noted)
    settings = BASE.changed(**changes)
    begun, resumed = (Trainer(settings, train, NUMPY, 2) for _ in range(2))
    kept, _ = steps(begun, processes)
    resumed.restore(kept, 5)
    again, warnings = steps(resumed, processes, count=5)
    assert warnings == []
    assert all(np.array_equal(again[name], kept[name]) for name in kept)
    (start, expected), (start_again, expected_again) = compared
    assert all(np.array_equal(start[name], start_again[name]) for name in start)
    assert all(np.array_equal(expected[0][name], expected_again[0][name]) for name in start)
    assert expected[1] == expected_again[1]


def test_a_run_that_diverges_at_once_is_not_blamed_on_the_fast_form(train):
    trainer = Trainer(
        BASE.changed(layers="784-16-10", batch_size=64, learning_rate=1e30), train, NUMPY
    )
    _, warnings = steps(trainer, 1, count=1)
    assert warnings == []
