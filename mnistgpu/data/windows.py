"""The order of images that stay in their files: one in which a disk reads long pieces.

Images shuffled all together lie anywhere in their files: each costs a page of 4 KiB for its 784
bytes, and a set larger than the memory is read many times over. So an epoch puts blocks of
neighbouring images in a random order, and shuffles the images of TOGETHER such blocks, a window,
with each other. A window is read block by block while the steps of the one before it are taken, and
nothing holds an order of all images.
"""

from __future__ import annotations

from mnistgpu import counter_rng
from mnistgpu.backend import Array, array_namespace, on_device_of
from mnistgpu.counter_rng import Key
from mnistgpu.data.mapped import MappedImages

BLOCK = 1024  # images that lie together: 0.8 MB
TOGETHER = 64  # blocks of a window: 51 MB
LENGTH = BLOCK * TOGETHER


class Windows:
    """Orders of so many images. mapped: those that are read from their files as they are needed."""

    def __init__(self, count: int, mapped: MappedImages | None = None):
        self.count, self.mapped = count, mapped
        self._places: dict[tuple[int, int], Array] = {}  # the newest windows, by epoch and number

    def rows(self, key: Key, begin: int, end: int) -> Array:
        """The rows at these places of the order of a key, which is that of an epoch."""
        parts = []
        for window in range(begin // LENGTH, (end - 1) // LENGTH + 1):
            places, start = self.window(key, window), window * LENGTH
            parts.append(places[max(0, begin - start) : min(end - start, places.shape[0])])
        return parts[0] if len(parts) == 1 else array_namespace(*parts).concat(parts)

    def window(self, key: Key, window: int) -> Array:
        """The rows of a window, in their order."""
        which = int(key), window
        if which not in self._places:
            begins = self.begins(key, window)
            xp, where = array_namespace(begins), on_device_of(begins)
            within = xp.arange(BLOCK, dtype=xp.int64, **where)
            every = xp.reshape(begins[:, None] + within[None, :], (-1,))
            left = self.count - window * LENGTH  # fewer than in its blocks, if the last is short
            every = every[: min(left, every.shape[0])]
            order = counter_rng.permutation(counter_rng.fold_in(key, window), every.shape[0])
            self.make_room(begins, self.begins(key, window + 1))
            self._places[which] = xp.take(every, order)
        return self._places[which]

    def begins(self, key: Key, window: int) -> Array:
        """Where the blocks of a window begin; a short block is the last one of every epoch."""
        whole = self.count // BLOCK
        blocks = counter_rng.permutation(key, whole)
        if whole * BLOCK < self.count:
            xp = array_namespace(blocks)
            short = xp.asarray([whole], dtype=blocks.dtype, **on_device_of(blocks))
            blocks = xp.concat([blocks, short])
        first, count = window * TOGETHER, blocks.shape[0]
        return blocks[min(first, count) : min(first + TOGETHER, count)] * BLOCK

    def make_room(self, begins: Array, following: Array) -> None:
        """Hold the newest two windows, and let the system read the next one meanwhile.

        begins: where the blocks of the window begin that is asked for; following: of the one after.
        """
        while len(self._places) > 1:
            del self._places[next(iter(self._places))]
        if self.mapped is not None:
            self.mapped.hold(begins.tolist(), BLOCK, TOGETHER)
            for begin in following.tolist():
                self.mapped.expect(begin, min(begin + BLOCK, self.count))


def windows_of(given: Array, there: Array) -> Windows | None:
    """The windows of images that stay in their files; None of others, which are all shuffled.

    there: the images where they are computed. A GPU's copy has the same order as the files.
    """
    if not isinstance(given, MappedImages):
        return None
    return Windows(len(given), given if there is given else None)
