"""Replays of a step are what eager steps would be, on a stand-in that records operations."""

import contextlib
import functools

import numpy as np
import pytest
from helpers.resuming import assert_same_bits, stopped
from helpers.step_cases import BASE, CASES, IMAGES, sums_at_rows
from helpers.tape import Tape, Taped, TapeRecorder

from mnistgpu import backend, data
from mnistgpu.backend import NUMPY, select
from mnistgpu.data import Digits
from mnistgpu.engine import inputs, memory, shard
from mnistgpu.engine import trainer as trainer_module
from mnistgpu.engine.gpu import cuda_graph, recorder
from mnistgpu.engine.gpu.cuda_graph import StepGraph, length_of_window, stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError
from mnistgpu.runs import training


@pytest.fixture
def digits(digits):
    return tuple(each[:IMAGES] for each in digits)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch):
    """Full batches between two rows of history, in a short run."""
    monkeypatch.setattr(trainer_module, "ROWS_OF_HISTORY", 3)


@pytest.fixture(params=["out", "no out"])
def both_ways_to_write(request, monkeypatch):
    """Buffers filled with `out=`, as on CuPy, and by copies, as where a namespace has none."""
    has_out = shard.has_out
    if request.param == "out":
        for module in (shard, backend):
            monkeypatch.setattr(module, "has_out", lambda a: isinstance(a, Taped) or has_out(a))


class RunningRecorder(TapeRecorder):
    """A `TapeRecorder` in the place of the one for CuPy."""

    running = staticmethod(contextlib.nullcontext)


def eager(settings, digits):
    """A trainer after its steps, and the sums at its rows."""
    trainer = Trainer(settings, Digits(*digits, "digits"), NUMPY, workers=1)
    return trainer, sums_at_rows(trainer, trainer.step)


def taped(settings, digits):
    tape, said = Tape(), []
    recorder = TapeRecorder(tape)
    trainer = Trainer(settings, Digits(*digits, "digits"), tape.backend(), workers=1)
    return recorder, trainer, StepGraph(trainer, recorder, said.append), said


@pytest.mark.parametrize(
    ("steps", "length"),
    [(234, 78), (117, 39), (58, 58), (468, 78), (40, 40), (60, 60), (233, 58), (1, 1), (2000, 80)],
)
def test_the_length_of_a_window(steps, length):
    assert length_of_window(steps) == length


def test_hardly_a_step_is_left_over():
    assert all(steps % length_of_window(steps) < 0.02 * steps for steps in range(1, 3000))


@pytest.mark.usefixtures("both_ways_to_write")
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_replays_are_the_steps_of_an_eager_run(digits, changes):
    settings = BASE.changed(**changes)
    recorder, trainer, graph, said = taped(settings, digits)
    expected, sums = eager(settings, digits)
    np.testing.assert_allclose(sums_at_rows(trainer, graph.step), sums, rtol=1e-3)
    assert said == []
    assert trainer.taken == expected.taken == trainer.steps
    assert trainer.learning_rate == expected.learning_rate
    for name, vector in expected.arrays().items():
        found = trainer.arrays()[name].raw
        np.testing.assert_allclose(found, vector, atol=1e-4, rtol=1e-3, err_msg=name)
    windows = sum(graph.begins(taken) for taken in range(1, trainer.steps))
    recordings = 2 if settings.clean_ending else 1
    assert recorder.events.count("record") == recordings
    assert recorder.events.count("replay") == windows + recordings
    assert windows * graph.length >= 0.4 * trainer.steps  # in the first epoch none is replayed


@pytest.mark.parametrize(("start", "windows"), [(5, 3), (7, 3), (19, 1)])
def test_a_resumed_run_goes_on_eagerly_to_the_next_window(digits, start, windows):
    """7 batches an epoch, the last of them short: a window is the others."""
    recorder, trainer, graph, said = taped(BASE.changed(epochs=4), digits)
    expected, _ = eager(trainer.settings, digits)
    for _ in range(start):
        trainer.step()
    sums_at_rows(trainer, graph.step)
    assert said == []
    assert recorder.events.count("record") == 1
    assert recorder.events.count("replay") == windows + 1
    np.testing.assert_allclose(trainer.theta.raw, expected.theta, atol=1e-4)


def test_several_windows_of_an_epoch_add_up_their_losses(digits, monkeypatch):
    """Each replay writes its sums into the same arrays."""
    monkeypatch.setattr(cuda_graph, "LONGEST", 2)
    monkeypatch.setattr(cuda_graph, "SHORTEST", 2)
    settings = BASE.changed(hidden_dropout=0.2)
    recorder, trainer, graph, said = taped(settings, digits)
    _, sums = eager(settings, digits)
    np.testing.assert_allclose(sums_at_rows(trainer, graph.step), sums, rtol=1e-5)
    assert said == []
    assert recorder.events.count("replay") == 1 + 2 + 3 + 3  # of 3 windows the first is not whole


def test_of_a_run_that_is_over_nothing_is_said(digits):
    tape, said = Tape(), []
    trainer = Trainer(BASE, Digits(*digits, "digits"), tape.backend(), workers=1)
    trainer.taken = trainer.steps
    StepGraph(trainer, TapeRecorder(tape), said.append)
    assert said == []


def test_a_restored_trainer_is_followed(digits):
    """What the captured steps read is written anew before each replay."""
    _, trainer, graph, _ = taped(BASE.changed(hidden_dropout=0.2), digits)
    graph.step(most=7)
    graph.step()
    kept = trainer.theta.raw.copy()
    sums_at_rows(trainer, graph.step)
    end = trainer.theta.raw.copy()
    trainer.theta.raw[...], trainer.taken = kept, 7
    sums_at_rows(trainer, graph.step)
    np.testing.assert_array_equal(trainer.theta.raw, end)


def ends(settings, train, backend, stepping_of, at):
    """All that a run computes: gone through, and stopped after `at` steps and gone on with."""
    whole, first, second = (
        Trainer(settings, train, backend, workers=1) for _ in range(3)
    )  # fmt: skip
    for trainer, until in ((whole, whole.steps), (first, at)):
        with stepping_of(trainer) as step:
            sums_at_rows(trainer, step, until)
    kept = {name: np.array(vector) for name, vector in first.vectors().items()}
    second.restore(kept, at)
    with stepping_of(second) as step:
        sums_at_rows(second, step)
    return whole.vectors(), second.vectors()


RESUMED = {
    "adam": {"optimizer": "adam", "weight_decay": 0.1, "ema": 0.9, "schedule": "cosine"},
    "batch norm": {"batch_norm": True, "hidden_noise": 0.2, "optimizer": "nesterov"},
    "deformed": {
        "elastic": 1.0, "rotation": 12.0, "rotation_1_7": 6.0, "clean_ending": 0.4, "epochs": 4,
    },
    "full batch": {"batch_size": None, "iterations": 21},
}  # fmt: skip


@pytest.mark.parametrize("at", [2, 7, 13])
@pytest.mark.parametrize("changes", RESUMED.values(), ids=RESUMED)
def test_a_run_of_replays_resumes_to_the_bit(digits, changes, at):
    """After a few steps, an epoch, a window."""

    @contextlib.contextmanager
    def stepping_of(trainer):
        yield StepGraph(trainer, TapeRecorder(trainer.backend.xp), pytest.fail).step

    train = Digits(*digits, "digits")
    whole, resumed = ends(BASE.changed(**changes), train, Tape().backend(), stepping_of, at)
    assert whole.keys() == resumed.keys()
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@pytest.mark.gpu
@pytest.mark.parametrize("at", [2, 7, 13])
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


@pytest.mark.parametrize("at", [1, 7, 13, 14])
def test_a_resumed_run_has_the_same_history_to_the_bit(monkeypatch, digits, tmp_path, at):
    """Losses are added up in the same order, also if a run stops after its first step."""
    monkeypatch.setattr(cuda_graph, "CudaRecorder", lambda xp, precision: RunningRecorder(xp))
    monkeypatch.setattr(memory, "free_bytes", lambda backend: None)
    images, labels = digits
    dataset = data.Dataset(
        Digits(images[:560], labels[:560], "train"), Digits(images[560:], labels[560:], "test"),
        "digits",
    )  # fmt: skip
    settings = BASE.changed(batch_size=80, validation=60, graph=True, hidden_noise=0.1)
    there = Tape().backend("cupy")
    whole = training.train(settings, dataset, there)
    kept = stopped(settings, dataset, tmp_path, at, there)
    assert_same_bits(training.train(settings, dataset, there, resumed=kept), whole)


def test_single_steps_and_those_at_a_given_rate_are_taken_eagerly(digits):
    recorder, trainer, graph, _ = taped(BASE, digits)
    graph.step(0.1, most=6)
    assert trainer.learning_rate == 0.1
    for _ in range(9):
        graph.step()
    assert trainer.taken == 10
    assert recorder.events == []


def test_a_run_too_short_for_a_window_runs_eagerly_and_says_why(digits):
    settings = BASE.changed(epochs=None, iterations=5)
    recorder, trainer, graph, said = taped(settings, digits)
    expected, _ = eager(settings, digits)
    sums_at_rows(trainer, graph.step)
    np.testing.assert_allclose(trainer.theta.raw, expected.theta, atol=1e-4)
    assert said == ["steps are not replayed: fewer than 6 steps that are alike are left"]
    assert recorder.events == []


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


def same_rows(trainer, advance):
    """A step that reads on the host which batch is its own."""

    def wrong(rows, *others):
        return advance(trainer.batches.rows(trainer.taken), *others)

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
        (same_rows, "replays moved theta differently"),
        (reads_back, "the current stream is capturing"),
    ],
)
def test_planted_errors_are_found_before_the_first_step(digits, monkeypatch, error, reason):
    settings = BASE.changed(warmup=0.9, optimizer="momentum", batch_norm=True)
    _, trainer, graph, said = taped(settings, digits)
    before = trainer.theta.raw.copy()
    monkeypatch.setattr(trainer, "advance", error(trainer, trainer.advance))
    graph.begin()
    assert len(said) == 1
    assert reason in said[0]
    assert graph.given_up
    assert trainer.taken == 0
    np.testing.assert_array_equal(trainer.theta.raw, before)


@pytest.mark.gpu
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_no_memory_is_asked_for_within_a_capture(digits, changes, monkeypatch):
    """The steps before it leave all that they need in the pool: cudaMalloc may void a capture."""
    record, totals = recorder.CudaRecorder.record, []

    def noted(self, steps):
        def then(step):
            step()
            totals.append(self.pool.total_bytes())

        totals.clear()
        return record(self, [functools.partial(then, step) for step in steps])

    monkeypatch.setattr(recorder.CudaRecorder, "record", noted)
    try:
        settings = BASE.changed(**changes, graph=True)
        trainer = Trainer(settings, Digits(*digits, "digits"), select("cupy"))
        with stepping(trainer, pytest.fail) as step:
            sums_at_rows(trainer, step)
    except BackendError as error:
        pytest.skip(str(error))
    before, *captured = totals[recorder.WARM_UP - 1 :]
    assert len(captured) >= 2
    beside = captured[0] - before
    assert beside in (0, recorder.SLACK)  # 0 if an earlier capture has left it
    assert captured == [before + beside] * len(captured)


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
            sums = sums_at_rows(trainer, step)
    except BackendError as error:
        pytest.skip(str(error))
    plain = Trainer(BASE.changed(**changes | {"graph": False}), train, gpu)
    expected = sums_at_rows(plain, plain.step)
    assert said == []
    np.testing.assert_allclose(sums, expected, rtol=1e-2)
    np.testing.assert_allclose(gpu.to_numpy(trainer.theta), gpu.to_numpy(plain.theta), atol=1e-2)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["plain", "full batch"])
def test_replays_that_multiply_bytes(digits, name, monkeypatch):
    monkeypatch.setattr(inputs, "BYTE_PRODUCTS", True)
    calls, columns = [], inputs.Inputs.columns

    def counted(self, *arguments):
        calls.append(columns(self, *arguments))
        return calls[-1]

    monkeypatch.setattr(inputs.Inputs, "columns", counted)
    test_replays_on_a_gpu(digits, CASES[name], "float32")
    assert {each.dtype for each in calls} == {np.dtype("uint8")}
