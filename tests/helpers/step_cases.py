"""Kinds of step of which each must be replayed from a captured one, on the first IMAGES digits."""

from mnistgpu.runs.history import Progress
from mnistgpu.settings import Settings

IMAGES = 650  # 6 batches and a short one
BASE = Settings(layers="784-12-10").changed(
    epochs=3, batch_size=100, init="he", learning_rate=0.05, validation=0
)
CASES = {
    "plain": {},
    "full batch": {"batch_size": None, "iterations": 21},
    "an even epoch": {"batch_size": 130},
    "short epochs": {"batch_size": 325},
    "momentum": {"optimizer": "momentum"},
    "nesterov, one-cycle": {"optimizer": "nesterov", "schedule": "one-cycle"},
    "adam, warm-up": {"optimizer": "adam", "warmup": 0.4, "schedule": "linear"},
    "dropout and noise": {"hidden_dropout": 0.2, "input_dropout": 0.1, "input_noise": 0.2},
    "weights": {"class_weight": "0:3,1:0.5,7:2.5"},
    "balanced, dropout": {"class_weight": "balanced", "hidden_dropout": 0.2},
    "norms": {"clip_norm": 0.5, "max_norm": 1.0, "l2": 1e-3, "weight_decay": 0.1, "ema": 0.9},
    "inputs": {"center": True, "min_ink": 0.02, "label_smoothing": 0.1},
    "deformed, clean ending": {"rotation": 10.0, "shift": 2.0, "clean_ending": 0.4, "epochs": 4},
    "elastic, 1 and 7 apart": {"elastic": 1.0, "rotation": 12.0, "rotation_1_7": 6.0},
    "batch norm": {"batch_norm": True, "hidden_noise": 0.2, "layers": "784-16-12-10"},
    "adversarial": {"adversarial": 1.0, "batch_norm": True, "hidden_dropout": 0.1},
    "consistency": {
        "consistency": 1.0,
        "batch_norm": True,
        "rotation": 10.0,
        "elastic": 1.0,
        "clean_ending": 0.4,
        "epochs": 4,
    },
    "information": {"information": 0.5, "hidden_noise": 0.2},
    "denoising": {
        "denoising": 50.0,
        "batch_norm": True,
        "input_noise": 0.3,
        "hidden_noise": 0.2,
    },
    "exact": {"precision": "exact", "optimizer": "adam", "learning_rate": 0.01, "clip_norm": 1.0},
    "exact, disturbed": {
        "precision": "exact",
        "batch_norm": True,
        "hidden_noise": 0.2,
        "elastic": 1.0,
        "hidden_dropout": 0.1,
        "clean_ending": 0.4,
        "epochs": 4,
        "activation": "gelu",
    },
    "float64, tanh": {"precision": "float64", "activation": "tanh", "elastic": 1.0},
}


def sums_at_rows(trainer, step, until=None):
    """Take the steps as the loop of training does, and return its sums at each row of history."""
    progress, found = Progress(), []
    until = trainer.steps if until is None else until
    while trainer.taken < until:
        most = trainer.row_every - trainer.taken % trainer.row_every if trainer.taken else 1
        progress.add_step(*step(most=min(most, until - trainer.taken)))
        if trainer.taken % trainer.row_every == 0 or trainer.taken == 1:
            found.append((float(progress.loss), int(progress.right), progress.seen))
        if trainer.taken % trainer.batches.per_epoch == 0:
            progress.begin_epoch()
    return found
