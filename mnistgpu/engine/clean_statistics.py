"""Statistics for batch normalisation of the images that a network answers: as they are.

A step normalises images with noise, dropout and deformation by their own means and variances, and
the running ones follow those. But noise makes variances larger, in every layer again, and a network
with the running ones answers images without noise a little worse: of 10,000 held-out images
`accurate` has 98.92% right with them and 99.00% with those of clean images.
"""

from __future__ import annotations

import copy

from mnistgpu.backend import Array, on_device_of
from mnistgpu.engine.arithmetic import shard_of
from mnistgpu.engine.gradient import NORMALIZED_TOGETHER, Engine, weighted_means
from mnistgpu.engine.inputs import Chance
from mnistgpu.engine.shard import Shard
from mnistgpu.settings import Settings

MOST = 5_000  # images that are looked at
DISTURBING = ("input_noise", "hidden_noise", "input_dropout", "hidden_dropout")


def is_disturbed(settings: Settings) -> bool:
    """Whether a step sees other images, or other sums of hidden units, than an answer does."""
    return settings.deformation.is_deforming or any(getattr(settings, each) for each in DISTURBING)


def clean_statistics(engine: Engine) -> list[tuple[Array, Array]]:
    """Mean and variance (n, 1) of each normalised layer, of the engine's theta as it is now.

    Over MOST images at most, evenly spread over the training set, by a pass forward.
    """
    shard, xp, count = quiet_shard(engine), engine.xp, engine.labels.shape[0]
    group = min(shard.group, count, MOST)
    images = min(MOST, count) // group * group
    every = xp.arange(images, **on_device_of(engine.theta)) * count // images
    found = []
    for start in range(0, images, group):
        rows = every[start : start + group]
        of_rows = xp.take(engine.images, rows, axis=0), xp.take(engine.labels, rows)
        X = shard.inputs.columns(*of_rows, Chance({}, deform=False), engine.theta.dtype)
        found.append((group, shard.statistics_of(X)))
    return weighted_means(found)


def quiet_shard(engine: Engine) -> Shard:
    """A shard of the engine's network that nothing random disturbs, for passes forward.

    It adds no gradient, so it has the memory of another one's.
    """
    none = dict.fromkeys(DISTURBING, 0.0)
    settings = engine.settings.changed(unlabeled=None, adversarial=0.0, denoising=0.0, **none)
    inputs, group = copy.copy(engine.inputs), NORMALIZED_TOGETHER
    inputs.settings = settings
    if settings.is_exact:  # whose grids depend on how many are normalised together
        group = engine.group
    how = engine.sizes, settings, inputs, engine.targets, group, engine.shards[0].gradient
    return shard_of(settings)(engine.theta, *how)
