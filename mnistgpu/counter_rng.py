"""Random numbers as a function of a key and a counter: the same bits on every backend.

Number i of key k is mix64(k + (i + 1) * GOLDEN): SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014), read as a counter-based generator
(Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). There is
no state to save: a run asks for "the dropout mask of step 731" and gets the same numbers before
and after a resume, on the CPU and on the GPU.

A key stands for one stream of random numbers. It is an integer of the host, so that to make keys
costs a GPU nothing, and it knows where its numbers are to be computed:

    key = counter_rng.key(0, like=X)           # from a seed; for the device of the array X
    step_key = counter_rng.fold_in(key, 731)   # an independent key, here for step 731
    noise = counter_rng.normals(step_key, (784, 100))

`like=` is any array that already lives on the wanted backend and device. Draw from a key once: a
second draw gives the same numbers. Fold in one number for each level (purpose, step, layer).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistgpu.backend import Array, array_namespace, on_device_of, with_kernel

if TYPE_CHECKING:
    import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: successive counters spread evenly
MASK = 0xFFFFFFFFFFFFFFFF
RUN = 16  # numbers that `noise` draws together: 64 bytes of float32, a cache line

# Purposes, the first number folded into the key of a seed: no two parts of a run share numbers.
INIT, SPLIT, SHUFFLE, STEP, NOISE, DROPOUT, DEFORM, TEST, MAKE, TWIST, ADVERSARIAL = range(11)
DECODER, CLEAN = 11, 12


@dataclass(frozen=True, eq=False)
class Key:
    """One stream of random numbers: an integer in [0, 2^64), and where its numbers are computed.

    `like` is an array (0,) on their device. In a captured step, which is replayed with other keys,
    `value` is an array (1,) uint64 there; nothing can be folded into such a key.
    """

    value: int | Array
    like: Array

    def __int__(self) -> int:
        return int(self.value)


def mix64(z: Array) -> Array:
    """SplitMix64's output function: a bijection of uint64 in which every input bit counts."""
    z = z ^ (z >> 30)  # a new array; from here on in place, since fresh memory costs most
    z *= 0xBF58476D1CE4E5B9
    z ^= z >> 27
    z *= 0x94D049BB133111EB
    z ^= z >> 31
    return z


def _mix64_int(z: int) -> int:
    """`mix64` of a Python int of any size, of which the low 64 bits count."""
    z &= MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def key(seed: int, *, like: Array) -> Key:
    """The key of a seed in [0, 2^64), for the device of the array `like`."""
    xp = array_namespace(like)
    there = xp.empty((0,), dtype=xp.uint64, **on_device_of(like))
    return Key(_mix64_int(seed + GOLDEN), there)


def fold_in(key: Key, *numbers: int) -> Key:
    """A new key from a key and a number; of several numbers, each is folded into the key so far."""
    value = key.value
    for number in numbers:
        value = _mix64_int(_mix64_int(value + (number + 1) * GOLDEN) ^ value)
    return Key(value, key.like)


@with_kernel
def bits(key: Key, count: int, places: range = range(1), axis: int = 1) -> Array:
    """`count` independent uint64 for each place, each of the 2^64 values equally likely.

    (count, places), or (places, count) if the places lie along `axis` 0. Place p has the numbers
    p * count, p * count + 1, ... of the key, so they do not depend on what other places are drawn.
    """
    xp, where = array_namespace(key.like), on_device_of(key.like)
    within = xp.arange(1, count + 1, dtype=xp.uint64, **where)
    within *= GOLDEN
    within += key.value
    if places == range(1):
        return xp.reshape(mix64(within), (count, 1) if axis == 1 else (1, count))
    begin = xp.arange(places.start, places.stop, dtype=xp.uint64, **where)
    begin *= count * GOLDEN & MASK
    down, across = (within, begin) if axis == 1 else (begin, within)
    return mix64(down[:, None] + across[None, :])


def integers(key: Key, count: int, below: int) -> Array:
    """`count` int64 uniform on 0 ... below - 1, for below <= 2^32: (count,).

    The high half of a 32-bit number times `below` (Lemire 2019); the bias is under below / 2^32.
    """
    xp = array_namespace(key.like)
    return xp.astype(((bits(key, count)[:, 0] >> 32) * below) >> 32, xp.int64)


# Numbers for the images of a batch: if `axis` is given, the images lie along this axis of `shape`
# (rows, columns), beginning with the image at place `first` of the batch. The numbers of an image
# depend on its place alone: so a batch may be cut anywhere. Otherwise `shape` is one place.


def uniforms(
    key: Key,
    shape: tuple[int, ...],
    dtype: type | str = "float32",
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """Uniform numbers on [0, 1): multiples of 2^-24 (float32) or 2^-53 (float64).

    A word of 64 bits gives one float64, or two float32: its highest and its next 24 bits.
    """
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    shifts, width = ((11,), 53) if dtype == xp.float64 else ((40, 16), 24)
    fraction = xp.astype(parts(key, shape, shifts, width, axis, first), dtype)
    fraction *= 2.0**-width
    return fraction


def normals(
    key: Key,
    shape: tuple[int, ...],
    dtype: type | str = "float32",
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """Standard normal numbers, the same bits on every backend; four from a word of 64 bits.

    By inversion (Devroye 1986, section II.2), from a table: each number is one of 2^16 quantiles,
    all equally likely; the largest is 4.32. Other methods compute logarithms and cosines, whose
    last bits differ from device to device, and take twice as long.
    """
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    which = xp.astype(parts(key, shape, FOUR, 16, axis, first), xp.int64)
    table = there(quantiles, key.like, dtype)
    return xp.reshape(xp.take(table, xp.reshape(which, (-1,))), shape)


def noise(
    key: Key,
    shape: tuple[int, ...],
    dtype: type | str = "float32",
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """Standard normal numbers for the noise of training, in a third of the time of `normals`.

    A run is RUN numbers that follow each other in memory: a row, drawn at random, of a table that
    holds every quantile of `normals` once. Runs are independent of each other. There are only
    2^16 / RUN different rows, so the numbers of a run are not independent, and each place of a row
    has 4,096 of the quantiles, with mean 0 and a deviation within 5% of 1. Where images lie along
    the last axis, a run belongs to RUN images, the first of them at a multiple of RUN.
    """
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    lines, length = (1, math.prod(shape)) if axis is None else shape
    skipped = 0
    if axis == 1:
        skipped = first % RUN
        runs = range(first // RUN, -(-(first + length) // RUN))
        words = bits(key, lines, runs, 1)
    else:
        words = bits(key, -(-length // RUN), range(first, first + lines), 0)
    rows = xp.astype(words >> 52, xp.int64)  # 12 bits: which of the 4,096
    table = xp.reshape(there(rows_of_quantiles, key.like, dtype), (-1, RUN))
    drawn = xp.reshape(xp.take(table, xp.reshape(rows, (-1,)), axis=0), (lines, -1))
    return xp.reshape(drawn[:, skipped : skipped + length], shape)


def coins(
    key: Key,
    shape: tuple[int, ...],
    probability: float,
    dtype: type | str = "float32",
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """1 with `probability` (in steps of 2^-16), else 0; four coins from a word of 64 bits."""
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    drawn = parts(key, shape, FOUR, 16, axis, first)
    return xp.astype(drawn < round(probability * 65536), dtype)


def permutation(key: Key, count: int) -> Array:
    """The numbers 0 ... count - 1 in random order, int64: (count,).

    The order of hashed counters. SplitMix64 is a bijection, so no two hashes are equal and the
    order does not depend on how a backend sorts ties.
    """
    xp = array_namespace(key.like)
    return xp.argsort(bits(key, count)[:, 0])


FOUR = (0, 16, 32, 48)  # where the four numbers of 16 bits in a word begin


@with_kernel
def parts(
    key: Key,
    shape: tuple[int, ...],
    shifts: tuple[int, ...],
    width: int,
    axis: int | None = None,
    first: int = 0,
) -> Array:
    """Integers of `width` bits, uint64: of each word those above its bits `shifts`.

    All first parts of the words of an image come before all second ones.
    """
    xp = array_namespace(key.like)
    if axis is None:
        whole = parts(key, (math.prod(shape), 1), shifts, width, 1, 0)
        return xp.reshape(whole, shape)
    count = shape[1 - axis]
    words = bits(key, -(-count // len(shifts)), range(first, first + shape[axis]), axis)
    lanes = [(words >> shift) & (2**width - 1) for shift in shifts]
    whole = xp.concat(lanes, axis=1 - axis)
    return whole[:count, :] if axis == 1 else whole[:, :count]


@functools.cache
def quantiles() -> np.ndarray:
    """The middle quantiles of 2^16 equal parts of the normal distribution, of variance 1."""
    import statistics

    import numpy as np

    inverse = statistics.NormalDist().inv_cdf
    upper = np.asarray([inverse((i + 0.5) / 2**16) for i in range(2**15, 2**16)])
    both = np.concatenate((-upper[::-1], upper))
    both /= np.sqrt(np.mean(both * both))
    return both


@functools.cache
def rows_of_quantiles() -> np.ndarray:
    """Every quantile once, in an order that never changes, for rows of RUN numbers.

    The rows of the second half are those of the first with the other sign, so that the numbers at
    each place of a row have mean 0.
    """
    import numpy as np

    both = quantiles()
    first, upper = key(0, like=both), both[len(both) // 2 :]
    signs = 2.0 * coins(fold_in(first, 1), upper.shape, 0.5, "float64") - 1.0
    half = signs * upper[permutation(first, len(upper))]
    return np.concatenate((half, -half))


def there(table: Callable[[], np.ndarray], like: Array, dtype: Any) -> Array:
    """A table of this type on the device of the array `like`; copied there once."""
    xp = array_namespace(like)
    place = (table.__name__, xp.__name__, str(dtype), str(like.device))
    if place not in _copies:
        _copies[place] = xp.asarray(table(), dtype=dtype, **on_device_of(like))
    return _copies[place]


_copies: dict[tuple[str, ...], Array] = {}
