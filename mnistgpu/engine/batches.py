"""Which images each step trains on: a function of the seed and the number of the step."""

from __future__ import annotations

import math
from typing import NamedTuple

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace
from mnistgpu.counter_rng import Key
from mnistgpu.data.windows import Windows
from mnistgpu.maths import augment

BESIDE = 2**40  # folded into the key for the order of labelled images; no epoch has this number


def images_in(rows: Array | slice) -> int:
    """How many images these rows are: indices (m,), or a slice."""
    return rows.stop - rows.start if isinstance(rows, slice) else int(rows.shape[0])


class Shift(NamedTuple):
    """How steps are counted after the batch size has changed within a run, after step `since`.

    A step has the place in the epochs that it would have `ahead` steps later (before it, if that is
    negative) in a run which had this batch size from the beginning.
    """

    since: int = 0
    ahead: int = 0


UNSHIFTED = Shift()  # of a run whose batch size has not changed


class Batches:
    """Which rows each step trains on: all of them, or shuffled anew every epoch by the seed.

    With `labels` (images,) the 1s and 7s of a batch are its last rows. With `windows` these say
    which rows are shuffled with each other.
    """

    def __init__(
        self,
        key: Key,
        images: int,
        batch_size: int | None,
        labels: Array | None = None,
        windows: Windows | None = None,
        shift: Shift = UNSHIFTED,
    ):
        self.images, self.size, self.windows = images, batch_size or images, windows
        self.shift = shift
        self._labels = labels  # if the images are sorted within a batch
        self.per_epoch = math.ceil(images / self.size)
        self.alike = images // self.size  # batches of an epoch that have `size` images
        self.full = self.size == images  # whether a step has all images
        self.key = counter_rng.fold_in(key, counter_rng.SHUFFLE)
        self._epoch, self._order = -1, None

    def place(self, steps: int) -> int:
        """Where in the epochs the step after so many is: its number if all batches had this size.

        It is a multiple of `per_epoch` at the beginning of an epoch.
        """
        return steps + self.shift.ahead

    def seen(self, steps: int) -> int:
        """How many images so many steps have trained on; an image counts in every epoch.

        Of steps after a change of the batch size, the difference of two such numbers counts.
        """
        epochs, batches = divmod(self.place(steps), self.per_epoch)
        return epochs * self.images + batches * self.size

    def labelled(self, rows: Array | slice) -> int:
        """How many of a step's rows have labels: all of them."""
        return images_in(rows)

    def rows(self, step: int, count: int = 1) -> Array | slice:
        """Rows of step 0, 1, ...: indices (m,), or a slice for a full batch.

        The last batch of an epoch is short if the images do not divide evenly. `count` steps of one
        epoch have their rows one after the other.
        """
        if self.full:
            return slice(0, self.images)
        epoch, batch = divmod(self.place(step), self.per_epoch)
        begin, end = batch * self.size, min((batch + count) * self.size, self.images)
        if self.windows is None:
            return self.order(epoch)[begin:end]
        return self.sorted(self.windows.rows(counter_rng.fold_in(self.key, epoch), begin, end))

    def order(self, epoch: int) -> Array:
        """All rows (images,) in the order of an epoch of batches."""
        if epoch != self._epoch:
            key = counter_rng.fold_in(self.key, epoch)
            self._epoch, self._order = epoch, None  # so that no two orders are held
            self._order = self.sorted(counter_rng.permutation(key, self.images))
        return self._order

    def sorted(self, rows: Array) -> Array:
        """Rows of whole batches, with the 1s and 7s of each at its end if that is wanted."""
        if self._labels is None:
            return rows
        labels = array_namespace(rows).take(self._labels, rows)
        return augment.ones_and_sevens_last(rows, labels, self.size)


class MixedBatches(Batches):
    """Batches of images without labels, each with some of the labelled ones before them.

    The rows 0 ... labelled - 1 have labels, `others` after them have none. An epoch is a pass
    through the others, `batch_size` at a step; beside them are as many labelled ones, or all if
    they are fewer, which are shuffled anew as often as they are used up. Without a batch size each
    step has all images.
    """

    def __init__(
        self,
        key: Key,
        labelled: int,
        others: int,
        batch_size: int | None,
        shift: Shift = UNSHIFTED,
    ):
        self._at_once = min(batch_size or others, others)
        super().__init__(key, others, self._at_once, shift=shift)
        self._every, self.full = labelled, batch_size is None
        self.beside = labelled if batch_size is None else min(labelled, self._at_once)
        self.size = self._at_once + self.beside
        self._turn, self._turns_order = -1, None

    def seen(self, steps: int) -> int:
        """See `Batches`."""
        epochs, batches = divmod(self.place(steps), self.per_epoch)
        of_epoch = self.images + self.per_epoch * self.beside
        return epochs * of_epoch + batches * self.size

    def labelled(self, rows: Array | slice) -> int:
        """See `Batches`: the first rows of each step."""
        return self.beside

    def rows(self, step: int, count: int = 1) -> Array | slice:
        """See `Batches`."""
        if self.full:
            return slice(0, self.size)
        xp, parts = array_namespace(self.key.like), []
        for place in range(self.place(step), self.place(step) + count):
            epoch, batch = divmod(place, self.per_epoch)
            start = batch * self._at_once
            others = self.order(epoch)[start : start + self._at_once] + self._every
            parts += [self.chosen(place), others]
        return xp.concat(parts)

    def chosen(self, place: int) -> Array:
        """The labelled rows (beside,) of a step at this place in the epochs."""
        turn, place = divmod(place, self._every // self.beside)
        if turn != self._turn:
            key = counter_rng.fold_in(self.key, BESIDE, turn)
            self._turn, self._turns_order = turn, counter_rng.permutation(key, self._every)
        assert self._turns_order is not None
        return self._turns_order[place * self.beside : (place + 1) * self.beside]
