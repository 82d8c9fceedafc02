"""Replays of a step are what eager steps would be, on a stand-in that records operations."""

import contextlib

import numpy as np
import pytest
from helpers.step_cases import BASE, CASES
from helpers.tape import Tape, Taped, TapeRecorder

from mnistgpu import backend
from mnistgpu.backend import NUMPY, select
from mnistgpu.data import Digits
from mnistgpu.engine import shard
from mnistgpu.engine.gpu import cuda_graph
from mnistgpu.engine.gpu.cuda_graph import StepGraph, stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError


@pytest.fixture(params=["out", "no out"])
def both_ways_to_write(request, monkeypatch):
    """Buffers filled with `out=`, as on CuPy, and by copies, as where a namespace has none."""
    has_out = shard.has_out
    if request.param == "out":
        for module in (shard, backend):
            monkeypatch.setattr(module, "has_out", lambda a: isinstance(a, Taped) or has_out(a))


def eager(settings, digits, steps):
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY, workers=1)
    losses = [float(trainer.step()[0]) for _ in range(steps)]
    return trainer, losses


def taped(settings, digits):
    tape, said = Tape(), []
    recorder = TapeRecorder(tape)
    trainer = Trainer(settings, Digits(*digits, "digits"), tape.backend(), workers=1)
    return recorder, trainer, StepGraph(trainer, recorder, said.append), said


@pytest.mark.usefixtures("both_ways_to_write")
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_replays_are_the_steps_of_an_eager_run(digits, changes):
    settings = BASE.changed(**changes)
    recorder, trainer, graph, said = taped(settings, digits)
    expected, losses = eager(settings, digits, trainer.steps)
    for loss in losses:
        assert float(graph.step()[0]) == pytest.approx(loss, rel=1e-3)
    assert said == []
    assert trainer.taken == expected.taken == trainer.steps
    assert trainer.learning_rate == expected.learning_rate
    for name, vector in expected.arrays().items():
        found = trainer.arrays()[name].raw
        np.testing.assert_allclose(found, vector, atol=1e-4, rtol=1e-3, err_msg=name)
    whole = sum(graph.is_whole(taken) for taken in range(trainer.steps))
    recordings = 2 if settings.clean_ending else 1
    assert recorder.events.count("record") == recordings
    assert recorder.events.count("replay") == whole + recordings * cuda_graph.CHECKED_STEPS
    assert whole >= 0.6 * trainer.steps


@pytest.mark.parametrize("start", [5, 19])
def test_a_run_resumed_shortly_before_a_short_batch_is_recorded_after_it(digits, start):
    """7 batches an epoch, the last of them short: steps 5 and 19 are no places to begin."""
    recorder, trainer, graph, said = taped(BASE.changed(epochs=4), digits)
    expected, _ = eager(trainer.settings, digits, trainer.steps)
    for _ in range(start):
        trainer.step()
    while trainer.taken < trainer.steps:
        graph.step()
    assert said == []
    assert recorder.events.count("record") == 1
    whole = sum(graph.is_whole(taken) for taken in range(start // 7 * 7 + 7, trainer.steps))
    assert recorder.events.count("replay") == whole + cuda_graph.CHECKED_STEPS
    np.testing.assert_allclose(trainer.theta.raw, expected.theta, atol=1e-4)


def test_of_a_run_that_is_over_nothing_is_said(digits):
    tape, said = Tape(), []
    trainer = Trainer(BASE, Digits(*digits, "digits"), tape.backend(), workers=1)
    trainer.taken = trainer.steps
    StepGraph(trainer, TapeRecorder(tape), said.append)
    assert said == []


def test_a_restored_trainer_is_followed(digits):
    """A table is filled anew, and the counters set, where the steps do not go on from the last."""
    _, trainer, graph, _ = taped(BASE.changed(hidden_dropout=0.2), digits)
    kept = None
    for taken in range(12):
        if taken == 2:
            kept = trainer.theta.raw.copy()
        graph.step()
    end = trainer.theta.raw.copy()
    trainer.theta.raw[...], trainer.taken = kept, 2
    for _ in range(10):
        graph.step()
    np.testing.assert_array_equal(trainer.theta.raw, end)


def ends(settings, train, backend, stepping_of, at):
    """All that a run computes: gone through, and stopped after `at` steps and gone on with."""
    whole, first, second = (
        Trainer(settings, train, backend, workers=1) for _ in range(3)
    )  # fmt: skip
    for trainer, until in ((whole, whole.steps), (first, at)):
        with stepping_of(trainer) as step:
            while trainer.taken < until:
                step()
    kept = {name: np.array(vector) for name, vector in first.vectors().items()}
    second.restore(kept, at)
    with stepping_of(second) as step:
        while second.taken < second.steps:
            step()
    return whole.vectors(), second.vectors()


RESUMED = {
    "adam": {"optimizer": "adam", "weight_decay": 0.1, "ema": 0.9, "schedule": "cosine"},
    "batch norm": {"batch_norm": True, "hidden_noise": 0.2, "optimizer": "nesterov"},
    "deformed": {"elastic": 1.0, "rotation": 12.0, "rotation_1_7": 6.0, "clean_ending": 0.3},
}


@pytest.mark.parametrize("at", [2, 5, 12])
@pytest.mark.parametrize("changes", RESUMED.values(), ids=RESUMED)
def test_a_run_of_replays_resumes_to_the_bit(digits, changes, at):
    """Also where other steps are replayed: steps 5 and 12 are no places to begin."""

    @contextlib.contextmanager
    def stepping_of(trainer):
        yield StepGraph(trainer, TapeRecorder(trainer.backend.xp), pytest.fail).step

    train = Digits(*digits, "digits")
    whole, resumed = ends(BASE.changed(**changes), train, Tape().backend(), stepping_of, at)
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@pytest.mark.gpu
@pytest.mark.parametrize("at", [2, 5, 12])
@pytest.mark.parametrize("changes", RESUMED.values(), ids=RESUMED)
def test_a_run_of_replays_resumes_to_the_bit_on_a_gpu(digits, changes, at):
    settings = BASE.changed(**changes, graph=True)
    try:
        gpu = select("cupy")
        whole, resumed = ends(
            settings, Digits(*digits, "digits"), gpu, lambda t: stepping(t, pytest.fail), at
        )
    except BackendError as error:
        pytest.skip(str(error))
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


def test_a_long_full_batch_run_refills_its_table(digits, monkeypatch):
    monkeypatch.setattr(cuda_graph, "FULL_BATCHES", 4)
    settings = BASE.changed(batch_size=None, iterations=11, schedule="linear")
    _, trainer, graph, said = taped(settings, digits)
    expected, _ = eager(settings, digits, 11)
    for _ in range(11):
        graph.step()
    assert said == []
    np.testing.assert_allclose(trainer.theta.raw, expected.theta, atol=1e-5)


def test_a_given_rate_is_taken_eagerly(digits):
    recorder, trainer, graph, _ = taped(BASE, digits)
    graph.step(0.1)
    assert trainer.learning_rate == 0.1
    assert recorder.events == []


REFUSED = {
    "no whole batches": ({"batch_size": 1500}, "no 3 alike steps"),
    "too few steps": ({"batch_size": None, "iterations": 2}, "no 3 alike steps"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_replayed_runs_eagerly_and_says_why(digits, changes, reason):
    settings = BASE.changed(**changes)
    _, trainer, graph, said = taped(settings, digits)
    expected, _ = eager(settings, digits, trainer.steps)
    for _ in range(trainer.steps):
        graph.step()
    np.testing.assert_allclose(trainer.theta.raw, expected.theta, atol=1e-4)
    assert len(said) == 1
    assert said[0].startswith("steps are not replayed: ")
    assert reason in said[0]


def frozen_numbers(trainer, advance):
    """A step that reads the learning rate of the host, as it was when it was recorded."""

    def wrong(rows, key, deform, numbers):
        rate = trainer.scheduled_rate(trainer.taken)
        return advance(rows, key, deform, trainer.numbers(trainer.taken, rate))

    return wrong


def bound_anew(trainer, advance):
    """A step that leaves what it remembers in a new array under the old name."""

    def wrong(*arguments):
        result = advance(*arguments)
        trainer.state["velocity"] = 1.0 * trainer.state["velocity"]
        return result

    return wrong


def statistics_anew(trainer, advance):
    """A step that leaves its running statistics in new arrays."""

    def wrong(*arguments):
        result = advance(*arguments)
        engine = trainer.engine
        engine.running_statistics = [(1.0 * m, 1.0 * v) for m, v in engine.running_statistics]
        return result

    return wrong


def reads_back(trainer, advance):
    """A step that looks at its loss."""

    def wrong(*arguments):
        loss, right = advance(*arguments)
        float(loss)
        return loss, right

    return wrong


@pytest.mark.usefixtures("both_ways_to_write")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (frozen_numbers, "replays moved theta differently"),
        (bound_anew, "replays moved theta differently"),
        (statistics_anew, "replays moved mean.0 differently"),
        (reads_back, "the current stream is capturing"),
    ],
)
def test_planted_errors_are_found_before_the_first_step(digits, monkeypatch, error, reason):
    settings = BASE.changed(warmup=0.9, optimizer="momentum", batch_norm=True)
    recorder, trainer, graph, said = taped(settings, digits)
    before = trainer.theta.raw.copy()
    monkeypatch.setattr(trainer, "advance", error(trainer, trainer.advance))
    graph.begin()
    assert len(said) == 1
    assert reason in said[0]
    assert graph.given_up
    assert trainer.taken == 0
    assert trainer.engine.shards[0].matmul != recorder.matmul
    np.testing.assert_array_equal(trainer.theta.raw, before)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_replays_on_a_gpu(digits, changes, precision):
    """The real thing: recorded and replayed, within rounding of eager steps on the same GPU."""
    try:
        gpu = select("cupy")
        changes = {"precision": precision, **changes, "graph": True}
        train = Digits(*digits, "digits")
        trainer = Trainer(BASE.changed(**changes), train, gpu)
        said = []
        with stepping(trainer, said.append) as step:
            losses = [float(step()[0]) for _ in range(trainer.steps)]
    except BackendError as error:
        pytest.skip(str(error))
    plain = Trainer(BASE.changed(**changes | {"graph": False}), train, gpu)
    expected = [float(plain.step()[0]) for _ in range(plain.steps)]
    assert said == []
    np.testing.assert_allclose(losses, expected, rtol=1e-2)
    np.testing.assert_allclose(gpu.to_numpy(trainer.theta), gpu.to_numpy(plain.theta), atol=1e-2)
