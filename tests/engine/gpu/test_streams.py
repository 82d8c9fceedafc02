"""Replayed steps run on a stream of their own, in order with the work before and after them.

A GPU is mostly quick enough to hide a missing wait; with CPUSHIM_LAZY=1 (tests/cupy_on_cpu) work on
a stream is done as late as possible, and these tests fail without it.
"""

import numpy as np
import pytest
from helpers.step_cases import BASE

from mnistgpu.backend import select
from mnistgpu.data import Digits
from mnistgpu.engine.stepping import stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError

SETTINGS = BASE.changed(batch_size=None, iterations=9, optimizer="momentum")


@pytest.fixture(scope="module")
def gpu():
    try:
        return select("cupy")
    except BackendError as error:
        pytest.skip(str(error))


def trained(gpu, digits, graph):
    """theta after all steps, twice as large before the first one, by work that nobody waits for."""
    trainer = Trainer(SETTINGS.changed(graph=graph), Digits(*digits, "digits"), gpu)
    gpu.synchronize()
    trainer.theta *= 2.0
    with trainer.engine.running(), stepping(trainer, pytest.fail) as step:
        while trainer.taken < trainer.steps:
            step()
    return gpu.to_numpy(trainer.theta * 2.0)  # read on CuPy's usual stream


@pytest.mark.gpu
def test_replays_are_in_order_with_what_is_done_before_and_after_them(gpu, digits):
    found, expected = (trained(gpu, digits, graph) for graph in (True, False))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
