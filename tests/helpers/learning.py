"""Steps of a run, for the tests of losses: the same on every backend, and their cost."""

import math
import time

import numpy as np
import pytest

from mnistgpu.backend import NUMPY
from mnistgpu.data import Digits
from mnistgpu.engine.trainer import Trainer


def check_steps(settings, digits, backend):
    """Three steps of this backend move the parameters as those of NumPy do."""
    train, found = Digits(*digits, "digits"), []
    for chosen in (NUMPY, backend):
        trainer = Trainer(settings, train, chosen)
        begun = trainer.backend.to_numpy(trainer.theta) + 0.0
        for _ in range(3):
            loss = trainer.step()[0]
        found.append((trainer.vectors()["theta"] - begun, float(loss)))
    tolerance = 2e-3 if settings.precision == "float32" else 1e-7
    moved = np.abs(found[0][0]).max()
    assert np.abs(found[0][0] - found[1][0]).max() < tolerance * moved
    assert found[0][1] == pytest.approx(found[1][1], rel=tolerance)


def times_as_long(digits, settings, other):
    """How many times as long a step with these settings takes as one with the other ones."""
    trainers = [Trainer(each, Digits(*digits, "x"), NUMPY, workers=1) for each in (settings, other)]
    seconds = [math.inf, math.inf]
    for _ in range(10):  # in turn, since the machine has faster and slower seconds
        for which, trainer in enumerate(trainers):
            with trainer.engine.running():
                trainer.step()
                began = time.process_time()
                trainer.step()
                seconds[which] = min(seconds[which], time.process_time() - began)
    return seconds[0] / seconds[1]
