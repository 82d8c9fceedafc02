"""Runs in this process that are interrupted and resumed, and the comparison of what they leave."""

import random
from dataclasses import asdict

import numpy as np
import pytest

from helpers.callbacks import Recorder
from mnistgpu import backend as backends
from mnistgpu.errors import StoppedError
from mnistgpu.runs import checkpoint, training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.checkpointing import Checkpointing, parse_every
from mnistgpu.runs.events import checked
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings

SMALL = Settings().changed(
    layers="784-12-10", init="he", epochs=3, batch_size=100, validation=100, learning_rate=0.1
)

IMAGES = 800  # of the set, after 100 were held out


def events_of(settings, *given):
    """Events of triples (step, name, new), or of records."""
    names = ("step", "name", "new")
    records = [
        each if isinstance(each, dict) else dict(zip(names, each, strict=True)) for each in given
    ]
    return checked(records, settings, IMAGES, lambda made: None, "events")


def saving_in(directory, dataset, every="never"):
    """Writes checkpoints into the directory, at least one at the end."""
    return Checkpointing(directory, None, dataset.digest, parse_every(every))


class StopAfter(Callback):
    """Interrupts a run after a step."""

    def __init__(self, step):
        self.at = step

    def begin(self, trainer, progress, stop):
        self.stop = stop

    def step(self, trainer, progress):
        if trainer.taken == self.at:
            self.stop.interrupt("a test", 130)


def stopped(settings, dataset, directory, at, backend=backends.NUMPY, resumed=None):
    """Train until after step `at`, save, and read what was saved."""
    callbacks = [StopAfter(at), saving_in(directory, dataset)]
    with pytest.raises(StoppedError, match=f"after iteration {at}"):
        training.train(settings, dataset, backend, callbacks, Stop(), resumed)
    return checkpoint.load(directory)


def figures(outcome):
    """All that must be equal: everything but the time that it took."""
    rows = [{**asdict(row), "seconds": None} for row in outcome.history]
    timed = ("seconds", "images_per_second")
    results = {name: value for name, value in outcome.results.items() if name not in timed}
    return repr(rows), repr(results)


def assert_same_bits(outcome, other):
    assert np.array_equal(outcome.model.theta, other.model.theta)
    assert np.array_equal(outcome.test_probabilities, other.test_probabilities)
    assert figures(outcome) == figures(other)


def check_resume(settings, dataset, directory, backend=backends.NUMPY, stops=2):
    """Stop at some random steps, resume each time, and compare with a run never stopped."""
    seen = Recorder()
    whole = training.train(settings, dataset, backend, [seen])
    ends = seen.steps  # or ends of a few taken together
    steps = whole.results["iterations"]
    assert ends.pop() == steps
    saved = None
    for at in sorted(random.sample(ends, stops)):
        print(f"stopped after step {at} of {steps}")
        saved = stopped(settings, dataset, directory, at, backend, saved)
        assert saved.taken == at
        assert saved.settings == settings
    saving = saving_in(directory, dataset)
    outcome = training.train(saved.settings, dataset, backend, [saving], resumed=saved)
    assert_same_bits(outcome, whole)
    last = checkpoint.load(directory)
    assert last.progress.finished
    assert last.taken == steps
