"""Settings that need one another, or cannot both be."""

from __future__ import annotations

from typing import Any

from mnistgpu.errors import UsageError
from mnistgpu.maths.optimizers import MOMENTUM, OPTIMIZERS

# What needs other settings, which a recipe or a flag may give
NEEDING = ("unlabeled", "denoising", "consistency", "freeze", "momentum")


def check(settings: Any) -> None:
    """UsageError for a `Settings` whose values contradict each other."""
    if settings.unlabeled is not None and not learns_without_labels(settings):
        raise UsageError(
            "--unlabeled needs --consistency, --denoising, --adversarial or --information, such as "
            "--adversarial 2: without one nothing is learnt from images that have no label"
        )
    if settings.denoising > 0:
        check_denoising(settings)
    if settings.consistency > 0 and not settings.deformation.is_deforming:
        raise UsageError(
            "--consistency gives a deformed image the answer of the image as it is: give a "
            "deformation as well, such as --deform strong"
        )
    taken = [
        each for each in ("consistency", "denoising", "adversarial") if getattr(settings, each)
    ]
    if len(taken) > 1:
        raise UsageError(f"--{taken[0]} and --{taken[1]} cannot be combined; leave one of them out")
    if settings.freeze and settings.from_run is None:
        raise UsageError("--freeze keeps layers of a trained network: give --from RUN as well")
    if settings.momentum != MOMENTUM and not OPTIMIZERS[settings.optimizer].has_momentum:
        own = " and ".join(name for name, each in OPTIMIZERS.items() if each.has_momentum)
        raise UsageError(
            f"--momentum {settings.momentum:g} is for the optimisers {own}, and --optimizer "
            f"{settings.optimizer} has no such number; leave it out, or choose one of them"
        )
    if settings.learning_rate * settings.weight_decay >= 1:
        raise UsageError(
            f"--weight-decay {settings.weight_decay:g} times --alpha {settings.learning_rate:g} "
            "must be less than 1: that share of each weight is lost at a step"
        )


def learns_without_labels(settings: Any) -> bool:
    """Whether a part of the loss asks for no labels."""
    own = ("adversarial", "consistency", "denoising", "information")
    return any(getattr(settings, each) > 0 for each in own)


def check_denoising(settings: Any) -> None:
    """UsageError for a decoder that could not learn, or that no step has."""
    if settings.from_run is not None:
        raise UsageError(
            "--denoising needs batch normalisation, which a network of --from has in its weights "
            "already; leave --denoising out"
        )
    missing = [
        flag
        for flag, there in (
            ("--input-noise 0.3", settings.input_noise > 0),
            ("--batch-norm", settings.batch_norm),
        )
        if not there
    ]
    if missing:
        raise UsageError(
            f"--denoising takes noise away again, layer by layer: give {' and '.join(missing)} as "
            "well"
        )
