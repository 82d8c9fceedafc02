"""When a checkpoint is written, and that it can be read whatever becomes of the run."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.resuming import SMALL, saving_in

from mnistgpu import backend as backends
from mnistgpu.errors import DivergedError, UsageError
from mnistgpu.runs import checkpoint, training
from mnistgpu.runs.checkpointing import Checkpointing, parse_every
from mnistgpu.runs.history import Progress
from mnistgpu.runs.stop import Stop


def test_checkpoints_come_as_often_as_asked(dataset, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(checkpoint, "save", lambda saved, path: taken.append(saved.taken))

    def steps_saved(every):
        taken.clear()
        training.train(SMALL, dataset, backends.NUMPY, [saving_in(tmp_path, dataset, every)])
        return taken

    assert steps_saved("never") == [24]  # at the end, always
    assert steps_saved("60s") == [24]
    assert steps_saved("1epoch") == [8, 16, 24]
    assert steps_saved("2epochs") == [16, 24]
    assert steps_saved("0s") == list(range(1, 25))


def test_steps_taken_together_may_pass_the_epochs_of_a_checkpoint(tmp_path, monkeypatch):
    """Full batches, of which a graph takes 40 at a time: each is an epoch."""
    batches = SimpleNamespace(per_epoch=1, place=int)
    trainer = SimpleNamespace(taken=30, batches=batches, communicator=None, gathered=True)
    saved = []
    monkeypatch.setattr(checkpoint, "of", lambda trainer, *rest: trainer.taken)
    monkeypatch.setattr(checkpoint, "save", lambda taken, path: saved.append(taken))
    saving = Checkpointing(tmp_path, None, "", parse_every("70epochs"))
    saving.begin(trainer, Progress(), Stop())
    for taken in (40, 80, 120, 160, 200, 240):
        trainer.taken = taken
        saving.step(trainer, Progress())
    assert saved == [80, 160, 240]


@pytest.mark.parametrize(
    "text",
    [
        *("", "60", "s", "-1s", "1d", "0epochs", "1.5epochs", "nans", "5 m", "m5", "5mm", "Never"),
        *("1234567890s", "1.1234567890s", ".5s", "5.s", "1234567890epochs", "1epochss", 60, None),
    ],
)
def test_a_wrong_checkpoint_every_is_refused(text):
    with pytest.raises(UsageError, match=r"--checkpoint-every must be .* 60s, 5m or 1h"):
        parse_every(text)


def test_times_of_checkpoints():
    assert parse_every("90s").seconds == 90
    assert parse_every("1.5m").seconds == 90
    assert parse_every("2h").seconds == 7200
    assert parse_every("123456789.123456789s").seconds == 123456789.123456789
    assert [parse_every(text).epochs for text in ("1epoch", "3epochs", "3m")] == [1, 3, None]
    assert parse_every("123456789epochs").epochs == 123456789
    assert parse_every("never").seconds == math.inf


@pytest.mark.slow
def test_every_checkpoint_of_a_run_that_diverges_loads(dataset, tmp_path):
    """Sums, scores and parameters overflow at different steps: none may replace what was good."""
    chance, steep = random.Random(0), {"batch_size": 50, "epochs": 2, "warmup": 0.9}
    drawn = [
        {
            "layers": chance.choice(["784-6-6-10", "784-6-6-6-6-10"]),
            "activation": chance.choice(["relu", "leaky-relu"]),
            "optimizer": chance.choice(["gradient-descent", "momentum", "adam"]),
            "early_stopping": chance.choice([None, 1]),
            "learning_rate": 10 ** chance.uniform(1, 25),
            "seed": seed,
        }
        for seed in range(60)
    ]
    # the sum of its losses overflows while its parameters are still finite
    known = {"layers": "784-6-6-10", "activation": "leaky-relu", "learning_rate": 116.0, "seed": 62}
    diverged = left = 0
    for changes in (known, *drawn):
        settings = SMALL.changed(**steep, **changes)
        (tmp_path / checkpoint.FILE).unlink(missing_ok=True)
        with np.errstate(all="ignore"):
            try:
                training.train(
                    settings, dataset, backends.NUMPY, [saving_in(tmp_path, dataset, "0s")]
                )
            except DivergedError:
                diverged += 1
        if (tmp_path / checkpoint.FILE).exists():
            checkpoint.load(tmp_path)
            left += 1
    assert diverged > 10
    assert left > 10
