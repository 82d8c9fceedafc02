"""Runs of a few exact steps as digests, and kinds of steps of which each must have one digest."""

import hashlib

import numpy as np

from mnistgpu.backend import NUMPY
from mnistgpu.engine.gradient import undivided
from mnistgpu.engine.trainer import Trainer
from mnistgpu.settings import Settings

BASE = Settings(layers="784-12-10").changed(
    init="he", validation=0, batch_size=150, iterations=8, learning_rate=0.2, precision="exact"
)
CASES = {
    "plain": {},
    "full batch": {"batch_size": None},
    "deep": {"layers": "784-16-12-10", "optimizer": "adam", "learning_rate": 0.01},
    "momentum": {"optimizer": "momentum", "learning_rate": 0.05},
    "nesterov, one-cycle": {"optimizer": "nesterov", "schedule": "one-cycle"},
    "inputs": {"center": True, "min_ink": 0.02, "label_smoothing": 0.1},
    "norms": {"clip_norm": 0.5, "max_norm": 1.0, "l2": 1e-3, "weight_decay": 0.1, "ema": 0.9},
    "batch norm": {"batch_norm": True, "layers": "784-16-12-10"},
    "noise": {"input_noise": 0.3, "hidden_noise": 0.3, "center": True},
    "dropout": {"input_dropout": 0.2, "hidden_dropout": 0.5, "layers": "784-16-12-10"},
    "batch norm, noise, dropout": {
        "batch_norm": True,
        "input_noise": 0.3,
        "hidden_noise": 0.3,
        "hidden_dropout": 0.2,
    },
    "deformed": {"rotation": 12.0, "scaling": 0.1, "shear": 0.15, "shift": 2.0, "min_ink": 0.02},
    "elastic, 1 and 7 apart": {"elastic": 2.0, "rotation": 12.0, "rotation_1_7": 6.0},
    **{
        f"{name}": {"activation": name, "learning_rate": 0.05, "schedule": schedule}
        for name, schedule in (
            ("leaky-relu", "cosine"),
            ("tanh", "exponential"),
            ("scaled-tanh", "step"),
            ("sigmoid", "linear"),
            ("gelu", "constant"),
        )
    },
}


def bits(arrays):
    content = hashlib.sha256()
    for name in sorted(arrays):
        content.update(np.ascontiguousarray(arrays[name]).tobytes())
    return content.hexdigest()


def run(settings, train, product=None, shard_rows=None, workers=1, steps=3):
    """What a trainer holds after some steps, and its losses, as digests."""
    trainer = Trainer(settings, train, NUMPY, workers)
    engine = trainer.engine
    if shard_rows and not settings.batch_norm:  # groups that are normalised stay whole
        unit = undivided(settings, trainer.batches.size)
        engine.shard_rows = -(-shard_rows // unit) * unit
    for shard in engine.shards:
        shard.matmul = product or shard.matmul
    if engine.inputs.fields is not None:
        engine.inputs.fields.matmul = product or engine.inputs.fields.matmul
    sums = []
    with engine.running():
        for _ in range(steps):
            loss, right, _ = trainer.step()
            sums += [float(loss), int(right)]
    assert trainer.out_of_range() == ""
    return bits({**trainer.arrays(), "plain": trainer.plain(), "sums": np.array(sums)})
