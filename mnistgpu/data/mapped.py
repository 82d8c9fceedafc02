"""Images that stay in their files: a set that is larger than the memory is read piece by piece.

`MappedImages` stands where an array (N, pixels) of uint8 would, and is only ever indexed: by the
rows of a batch, or by a slice for whatever looks at all images once. The system maps the files into
memory and may forget what it has read, so a process needs no memory for the whole set. What is
taken image by image is copied from there in blocks first (`hold`).
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mnistgpu.backend import Array, Backend, array_namespace, on_device_of
from mnistgpu.data import npy
from mnistgpu.errors import DataError
from mnistgpu.storage import files

AT_ONCE = 2**14  # images of one piece of a slice, or of what looks at all of them


class Held:
    """Blocks of images that are in memory: those of two windows, one half of the memory each."""

    def __init__(self, count: int, pixels: int, block: int, together: int):
        self.block, self.together, self.half = block, together, 0
        self.images = np.empty((2 * together * block, pixels), np.uint8)
        self.slots = np.full(-(-count // block), -1)  # of each block in `images`; -1 of others

    def next_half(self) -> range:
        """The slots of the older window, which loses them."""
        self.half = self.together - self.half
        slots = range(self.half, self.half + self.together)
        self.slots[(self.slots >= slots.start) & (self.slots < slots.stop)] = -1
        return slots

    def places(self, rows: np.ndarray) -> np.ndarray | None:
        """Where these rows are in `images`; None if not all of them are."""
        block, within = np.divmod(rows, self.block)
        slots = self.slots.take(block)
        return None if slots.min(initial=0) < 0 else slots * self.block + within


class MappedImages:
    """Images (N, pixels) uint8 in npy files; all files but the last have equally many.

    reopen: a function and its arguments that return the same images, in another process.
    """

    dtype, itemsize, ndim, device = np.dtype(np.uint8), 1, 2, "cpu"

    def __init__(self, paths: Sequence[Path], reopen: tuple[Callable[..., Any], tuple[Any, ...]]):
        found = [mapped(path) for path in paths]
        self._maps = [memory for memory, _, _ in found]
        self._starts = [start for _, start, _ in found]  # of the first image, in bytes
        self._files = [array for _, _, array in found]
        self._each = len(self._files[0])
        self._reopen = reopen
        self._pixels = self._files[0].shape[1]  # of an image in its file
        self._held: list[Held] = []  # one, once there is any; shared with copies of this object
        self._selected: np.ndarray | None = None
        self.shape = sum(map(len, self._files)), self._pixels
        for path, array in zip(paths, self._files, strict=True):
            if array.shape[1] != self._pixels or (
                len(array) != self._each and array is not self._files[-1]
            ):
                raise DataError(
                    f"{path}: has {len(array):,} images of {array.shape[1]} pixels, where "
                    f"{self._each:,} of {self._pixels} are expected; make the data again"
                )
        self._items = [self._wholes(array) for array in self._files]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Pixels of all images, and so the bytes of them in their files."""
        return math.prod(self.shape)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self._reopen

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return np

    def __array__(self, *how: Any, **more: Any) -> np.ndarray:
        raise DataError(
            f"{len(self):,} images stay in their files, as {self.size / 1e9:.1f} GB might not "
            "fit in memory; take some of them, such as images[:1000]"
        )

    def __getitem__(self, rows: Any) -> np.ndarray:
        """A copy of some images: by an index, a slice, or an array of indices (m,)."""
        if isinstance(rows, tuple):
            rows, columns = rows
            return self[rows][..., columns]
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._read(start, stop) if step == 1 else self.take(np.arange(start, stop, step))
        found = np.asarray(rows)
        if found.dtype == np.bool_:
            raise DataError(
                f"{len(self):,} images stay in their files, so none can be left out or held out; "
                "leave out the settings and weights that do that"
            )
        found = np.where(found < 0, found + len(self), found).astype(np.int64)
        return self.take(found.reshape(-1)).reshape(*found.shape, self.shape[1])

    def take(
        self,
        rows: np.ndarray,
        axis: int = 0,
        out: np.ndarray | None = None,
        mode: Literal["raise", "clip"] = "raise",
    ) -> np.ndarray:
        """The images of these rows (m,), in `out` (m, pixels) if it is given.

        `numpy.take` calls this, so its arguments are the same.
        """
        if len(rows) and rows.max() >= len(self):
            raise IndexError(f"image {rows.max()} of {len(self)}")
        direct = out is not None and self._selected is None and out.flags.c_contiguous
        found = out if direct else np.empty((len(rows), self._pixels), np.uint8)
        assert found is not None
        wholes = self._wholes(found)
        places = self._held[0].places(rows) if self._held else None
        if places is not None:
            self._wholes(self._held[0].images).take(places, out=wholes, mode="clip")
        else:
            file, place = np.divmod(rows, self._each)
            for i in np.flatnonzero(np.bincount(file)).tolist():
                own = np.flatnonzero(file == i)
                wholes[own] = self._items[i].take(place.take(own), mode="clip")
        if self._selected is not None:
            found = np.take(found, self._selected, axis=1)
        if out is None or direct:
            return found
        out[...] = found
        return out

    def _wholes(self, rows: np.ndarray) -> np.ndarray:
        """Rows (m, pixels) as (m,) items, which NumPy copies in half the time."""
        return rows.view(f"V{self._pixels}").reshape(-1)

    def with_pixels(self, selected: np.ndarray) -> MappedImages:
        """The same images with these pixels (n,) alone."""
        some: MappedImages = object.__new__(type(self))  # a copy would open the files again
        some.__dict__.update(self.__dict__)
        some._selected, some.shape = selected, (len(self), len(selected))
        return some

    def pieces(self) -> Iterator[np.ndarray]:
        """All images, one piece after the other."""
        for start in range(0, len(self), AT_ONCE):
            yield self[start : start + AT_ONCE]

    def hold(self, begins: Sequence[int], block: int, together: int) -> None:
        """Copy the blocks of a window into memory, so many images each, for `take`.

        They replace those of the window before the last. begins: the first image of each, a
        multiple of `block`. A window has so many blocks `together`, or fewer.
        """
        if not self._held:
            self._held.append(Held(len(self), self._pixels, block, together))
        held = self._held[0]
        for slot, begin in zip(held.next_half(), begins, strict=False):
            stop = min(begin + block, len(self))
            self._copy(begin, stop, held.images[slot * block :][: stop - begin])
            held.slots[begin // block] = slot

    def _read(self, start: int, stop: int) -> np.ndarray:
        out = np.empty((max(0, stop - start), self._pixels), np.uint8)
        self._copy(start, stop, out)
        return out if self._selected is None else np.take(out, self._selected, axis=1)

    def _copy(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write rows start to stop into `out`, and take them out of this process' memory."""
        for file, first, last in self._parts(start, stop):
            begin = file * self._each + first - start
            out[begin : begin + last - first] = self._files[file][first:last]
        self._advise(start, stop, "MADV_DONTNEED")

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Files, each with the first and the last of its rows, that rows start to stop lie in."""
        while start < stop:
            file, first = divmod(start, self._each)
            last = min(self._each, first + stop - start)
            yield file, first, last
            start += last - first

    def expect(self, start: int, stop: int) -> None:
        """Let the system begin to read rows that are needed soon, and go on meanwhile."""
        self._advise(start, stop, "MADV_WILLNEED")

    def _advise(self, start: int, stop: int, name: str) -> None:
        advice, advise = getattr(mmap, name, None), getattr(mmap.mmap, "madvise", None)
        if advice is None or advise is None:  # Windows decides by itself
            return
        for file, first, last in self._parts(start, stop):
            begin, end = (self._starts[file] + row * self._pixels for row in (first, last))
            begin -= begin % mmap.PAGESIZE
            advise(self._maps[file], advice, begin, end - begin)


def mapped(path: Path) -> tuple[mmap.mmap, int, np.ndarray]:
    """An npy file of uint8 images as memory, where the images begin, and rows (N, pixels) in it.

    DataError if it is not such a file, or its size is not what its header says.
    """
    with files.opened(path) as stream:
        start, header = npy.start_of(stream)
        match = npy.HEADER.fullmatch(header)
        size = os.fstat(stream.fileno()).st_size
        shape = tuple(map(int, match[3].split(b", "))) if match else ()
        begin = len(start) + len(header)
        if (
            match is None
            or match[1] != b"|u1"
            or match[2] != b"False"
            or len(shape) < 2
            or math.prod(shape) == 0
            or size != begin + math.prod(shape)
        ):
            raise DataError(
                f"{path}: is not the npy file of images that mnistgpu makes; remove it, and call "
                "mnistgpu make-data again"
            )
        memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    rows = np.frombuffer(memory, np.uint8, offset=begin).reshape(shape[0], -1)
    return memory, begin, rows


def pieces_of(images: Array) -> Iterator[np.ndarray]:
    """All images (N, pixels), one piece after the other; an array is one piece."""
    return images.pieces() if isinstance(images, MappedImages) else iter((images,))


def total_of(images: Array) -> np.ndarray:
    """The sum (pixels,) float64 of images (N, pixels); of grey levels it is exact."""
    first, *others = (piece.sum(axis=0, dtype=np.float64) for piece in pieces_of(images))
    total: np.ndarray = sum(others, first)
    return total


def there(images: Array, backend: Backend) -> Array:
    """The images where the backend computes: those of files stay there on the CPU, and are copied
    to the memory of a GPU piece by piece.
    """
    if not isinstance(images, MappedImages):
        return backend.asarray(images)
    if backend.name == "numpy":
        return images
    like = backend.asarray(images[:1])
    xp = array_namespace(like)
    copied = xp.empty(images.shape, dtype=xp.uint8, **on_device_of(like))
    start = 0
    for piece in images.pieces():
        copied[start : start + len(piece), :] = backend.asarray(piece)
        start += len(piece)
    return copied
