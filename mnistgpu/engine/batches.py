"""Which images each step trains on: a function of the seed and the number of the step."""

from __future__ import annotations

import math

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace
from mnistgpu.counter_rng import Key
from mnistgpu.maths import augment

BESIDE = 2**40  # folded into the key for the order of labelled images; no epoch has this number


def images_in(rows: Array | slice) -> int:
    """How many images these rows are: indices (m,), or a slice."""
    return rows.stop - rows.start if isinstance(rows, slice) else int(rows.shape[0])


class Batches:
    """Which rows each step trains on: all of them, or shuffled anew every epoch by the seed.

    With `labels` (images,) the 1s and 7s of a batch are its last rows. `alike` is how many batches
    of an epoch have `size` images.
    """

    def __init__(self, key: Key, images: int, batch_size: int | None, labels: Array | None = None):
        self.images, self.size = images, batch_size or images
        self._labels = labels  # if the images are sorted within a batch
        self.per_epoch = math.ceil(images / self.size)
        self.alike = images // self.size
        self.key = counter_rng.fold_in(key, counter_rng.SHUFFLE)
        self._shuffled = images
        self._epoch, self._order = -1, None

    def seen(self, steps: int) -> int:
        """How many images so many steps have trained on; an image counts in every epoch."""
        epochs, batches = divmod(steps, self.per_epoch)
        return epochs * self.images + batches * self.size

    def labelled(self, rows: Array | slice) -> int:
        """How many of a step's rows have labels: all of them."""
        return images_in(rows)

    def rows(self, step: int, count: int = 1) -> Array | slice:
        """Rows of step 0, 1, ...: indices (m,), or a slice for a full batch.

        The last batch of an epoch is short if the images do not divide evenly. `count` steps of one
        epoch have their rows one after the other.
        """
        if self.size == self.images:
            return slice(0, self.images)
        epoch, batch = divmod(step, self.per_epoch)
        return self.order(epoch)[batch * self.size : (batch + count) * self.size]

    def order(self, epoch: int) -> Array:
        """All rows (images,) in the order of an epoch of batches."""
        if epoch != self._epoch:
            key = counter_rng.fold_in(self.key, epoch)
            order = counter_rng.permutation(key, self._shuffled)
            if self._labels is not None:
                labels = array_namespace(order).take(self._labels, order)
                order = augment.ones_and_sevens_last(order, labels, self.size)
            self._epoch, self._order = epoch, order
        return self._order


class MixedBatches(Batches):
    """Batches of images without labels, each with some of the labelled ones before them.

    The rows 0 ... labelled - 1 have labels, `others` after them have none. An epoch is a pass
    through the others, `batch_size` at a step; beside them are as many labelled ones, or all if
    they are fewer, which are shuffled anew as often as they are used up. Without a batch size each
    step has all images.
    """

    def __init__(self, key: Key, labelled: int, others: int, batch_size: int | None):
        self._at_once = min(batch_size or others, others)
        super().__init__(key, others, self._at_once)
        self._every = labelled
        self.beside = labelled if batch_size is None else min(labelled, self._at_once)
        self.size, self.images = self._at_once + self.beside, labelled + others
        self._turn, self._turns_order = -1, None

    def seen(self, steps: int) -> int:
        """See `Batches`."""
        epochs, batches = divmod(steps, self.per_epoch)
        of_epoch = self._shuffled + self.per_epoch * self.beside
        return epochs * of_epoch + batches * self.size

    def labelled(self, rows: Array | slice) -> int:
        """See `Batches`: the first rows of each step."""
        return self.beside

    def rows(self, step: int, count: int = 1) -> Array | slice:
        """See `Batches`."""
        if self.size == self.images:
            return slice(0, self.images)
        xp, parts = array_namespace(self.key.like), []
        for each in range(step, step + count):
            epoch, batch = divmod(each, self.per_epoch)
            start = batch * self._at_once
            others = self.order(epoch)[start : start + self._at_once] + self._every
            parts += [self.chosen(each), others]
        return xp.concat(parts)

    def chosen(self, step: int) -> Array:
        """The labelled rows (beside,) of a step."""
        turn, place = divmod(step, self._every // self.beside)
        if turn != self._turn:
            key = counter_rng.fold_in(self.key, BESIDE, turn)
            self._turn, self._turns_order = turn, counter_rng.permutation(key, self._every)
        assert self._turns_order is not None
        return self._turns_order[place * self.beside : (place + 1) * self.beside]
