"""Replayed steps with images without labels, and with a teacher: equal to eager ones."""

import contextlib

import numpy as np
import pytest
from helpers.networks import made
from helpers.step_cases import BASE, sums_at_rows
from helpers.tape import Tape, TapeRecorder

from mnistgpu.backend import NUMPY, select
from mnistgpu.data import Digits
from mnistgpu.engine import stepping
from mnistgpu.engine.gpu.cuda_graph import StepGraph
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError

TEACHERS = (made("relu", "784-12-10", 3), made("tanh", "784-7-8-10", 4))
CASES = {
    "unlabeled": ({"adversarial": 1.0, "unlabeled": "x", "batch_norm": True}, ()),
    "unlabeled, full": ({"adversarial": 1.0, "unlabeled": "x", "batch_size": None}, ()),
    "consistency": ({"consistency": 1.0, "unlabeled": "x", "rotation": 15.0}, ()),
    "denoising": ({"denoising": 50.0, "batch_norm": True, "input_noise": 0.3}, ()),
    "information": (
        {"information": 0.5, "unlabeled": "x", "batch_size": 70, "batch_norm": True},
        (),
    ),
    "teacher": ({"teacher": "x", "rotation": 5.0}, TEACHERS),
}


def trainer_of(changes, teachers, digits, backend):
    images, labels = digits
    others = images[100:650] if "unlabeled" in changes else None
    count = 650 if others is None else 100
    train = Digits(images[:count], labels[:count], "digits", unlabeled=others)
    if changes.get("batch_size", 100) is None:
        changes = changes | {"iterations": 21}
    return Trainer(BASE.changed(**changes), train, backend, 1, teachers=teachers)


@pytest.mark.parametrize(("changes", "teachers"), CASES.values(), ids=CASES)
def test_replays_are_the_steps_of_an_eager_run(digits, changes, teachers):
    expected = trainer_of(changes, teachers, digits, NUMPY)
    sums = sums_at_rows(expected, expected.step)
    tape, said = Tape(), []
    recorder = TapeRecorder(tape)
    trainer = trainer_of(changes, teachers, digits, tape.backend())
    graph = StepGraph(trainer, recorder, said.append)
    found = sums_at_rows(trainer, graph.step)
    assert said == []
    assert recorder.events.count("replay") > 1
    np.testing.assert_allclose(found, sums, rtol=1e-3)
    np.testing.assert_allclose(trainer.theta.raw, expected.theta, atol=1e-4, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("graph", [False, True], ids=["eager", "replayed"])
@pytest.mark.parametrize(("changes", "teachers"), CASES.values(), ids=CASES)
def test_kernels_and_replays_on_a_gpu(digits, changes, teachers, graph):
    try:
        gpu = select("cupy")
    except BackendError as error:
        pytest.skip(str(error))
    expected = trainer_of(changes, teachers, digits, NUMPY)
    sums = sums_at_rows(expected, expected.step)
    trainer = trainer_of(changes | {"graph": graph}, teachers, digits, gpu)
    with contextlib.ExitStack() as stack:
        stack.enter_context(trainer.engine.running())
        step = stack.enter_context(stepping.stepping(trainer, pytest.fail))
        found = sums_at_rows(trainer, step)
    np.testing.assert_allclose(found, sums, rtol=1e-2)
    np.testing.assert_allclose(gpu.to_numpy(trainer.theta), expected.theta, atol=2e-3)
