"""Sets of `make-data` that are made in a moment: few images, in units of few, and not deformed."""

import contextlib
import functools
from unittest import mock

import numpy as np

from mnistgpu.api import making


@contextlib.contextmanager
def small_units(unit=256, chunk=64):
    """Within it, so few images are written and deformed together; MNIST is read and hashed once."""
    with (
        mock.patch.object(making, "UNIT", unit),
        mock.patch.object(making, "CHUNK", chunk),
        mock.patch.object(making, "originals_of", originals),
    ):
        yield


originals = functools.cache(making.originals_of)


def make(path, images, shard_images=512, **options):
    """A set as the command makes it, in small units."""
    with small_units():
        return making.make_data(path, images, shard_images=shard_images, **options)


def make_plain(path, images, shard_images=2**18, **options):
    """A set of originals, which are not deformed: a large one takes a second."""

    def originals(work, rows):
        return np.ascontiguousarray(work.source.images[work.originals(rows)])

    with mock.patch.object(making.Work, "deformed", originals):
        return making.make_data(path, images, shard_images=shard_images, **options)


def in_memory(path):
    """The images to train on, as one array (N, 784)."""
    files = sorted(path.glob("train-images-*.npy"))
    return np.concatenate([np.load(each) for each in files]).reshape(-1, 784)
