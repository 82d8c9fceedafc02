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
second draw gives the same numbers. Fold in one number for each level (purpose, step, shard).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnistgpu.backend import Array, array_namespace, on_device_of

if TYPE_CHECKING:
    import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: successive counters spread evenly
MASK = 0xFFFFFFFFFFFFFFFF
RUN = 16  # numbers that `noise` draws together: 64 bytes of float32, a cache line

# Purposes, the first number folded into the key of a seed: no two parts of a run share numbers.
INIT, SPLIT, SHUFFLE, STEP, NOISE, DROPOUT, DEFORM = range(7)


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


def bits(key: Key, count: int) -> Array:
    """`count` independent uint64, each of the 2^64 values equally likely: (count,)."""
    xp = array_namespace(key.like)
    z = xp.arange(1, count + 1, dtype=xp.uint64, **on_device_of(key.like))
    z *= GOLDEN
    z += key.value
    return mix64(z)


def integers(key: Key, count: int, below: int) -> Array:
    """`count` int64 uniform on 0 ... below - 1, for below <= 2^32: (count,).

    The high half of a 32-bit number times `below` (Lemire 2019); the bias is under below / 2^32.
    """
    xp = array_namespace(key.like)
    return xp.astype(((bits(key, count) >> 32) * below) >> 32, xp.int64)


def uniforms(key: Key, shape: tuple[int, ...], dtype: type | str = "float32") -> Array:
    """Uniform numbers on [0, 1): multiples of 2^-24 (float32) or 2^-53 (float64).

    A word of 64 bits gives one float64, or two float32: its highest and its next 24 bits.
    """
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    count = math.prod(shape)
    if dtype == xp.float64:
        return xp.reshape(xp.astype(bits(key, count) >> 11, dtype) * 2.0**-53, shape)
    words = bits(key, (count + 1) // 2)
    digits = xp.concat((words >> 40, (words >> 16) & 0xFFFFFF))
    fraction = xp.astype(digits, dtype)
    fraction *= 2.0**-24
    return xp.reshape(fraction[:count], shape)


def normals(key: Key, shape: tuple[int, ...], dtype: type | str = "float32") -> Array:
    """Standard normal numbers, the same bits on every backend; four from a word of 64 bits.

    By inversion (Devroye 1986, section II.2), from a table: each number is one of 2^16 quantiles,
    all equally likely; the largest is 4.32. Other methods compute logarithms and cosines, whose
    last bits differ from device to device, and take twice as long.
    """
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    count = math.prod(shape)
    lanes = xp.astype(_lanes(bits(key, (count + 3) // 4)), xp.int64)
    return xp.reshape(xp.take(_there(_quantiles, key, dtype), lanes)[:count], shape)


def noise(key: Key, shape: tuple[int, ...], dtype: type | str = "float32") -> Array:
    """Standard normal numbers for the noise of training, in a third of the time of `normals`.

    A run is RUN numbers that follow each other in memory: a row, drawn at random, of a table that
    holds every quantile of `normals` once. Runs are independent of each other. There are only
    2^16 / RUN different rows, so the numbers of a run are not independent, and each place of a row
    has 4,096 of the quantiles, with mean 0 and a deviation within 5% of 1.
    """
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    count = math.prod(shape)
    table = xp.reshape(_there(_rows_of_quantiles, key, dtype), (-1, RUN))
    drawn = xp.take(table, integers(key, -(-count // RUN), 2**16 // RUN), axis=0)
    return xp.reshape(xp.reshape(drawn, (-1,))[:count], shape)


def _lanes(words: Array) -> Array:
    """The four 16-bit parts of each word (n,): (4 n,) uint64."""
    return array_namespace(words).concat([(words >> shift) & 0xFFFF for shift in (0, 16, 32, 48)])


@functools.cache
def _quantiles() -> np.ndarray:
    """The middle quantiles of 2^16 equal parts of the normal distribution, of variance 1."""
    import statistics

    import numpy as np

    inverse = statistics.NormalDist().inv_cdf
    upper = np.asarray([inverse((i + 0.5) / 2**16) for i in range(2**15, 2**16)])
    both = np.concatenate((-upper[::-1], upper))
    both /= np.sqrt(np.mean(both * both))
    return both


@functools.cache
def _rows_of_quantiles() -> np.ndarray:
    """Every quantile once, in an order that never changes, for rows of RUN numbers.

    The rows of the second half are those of the first with the other sign, so that the numbers at
    each place of a row have mean 0.
    """
    import numpy as np

    quantiles = _quantiles()
    first = key(0, like=quantiles)
    upper = quantiles[len(quantiles) // 2 :]
    signs = 2.0 * coins(fold_in(first, 1), upper.shape, 0.5, "float64") - 1.0
    half = signs * upper[permutation(first, len(upper))]
    return np.concatenate((half, -half))


def _there(table: Callable[[], np.ndarray], key: Key, dtype: Any) -> Array:
    """A table of this type where the key lives; copied there once."""
    xp = array_namespace(key.like)
    place = (table.__name__, xp.__name__, str(dtype), str(key.like.device))
    if place not in _copies:
        _copies[place] = xp.asarray(table(), dtype=dtype, **on_device_of(key.like))
    return _copies[place]


_copies: dict[tuple[str, ...], Array] = {}


def coins(
    key: Key, shape: tuple[int, ...], probability: float, dtype: type | str = "float32"
) -> Array:
    """1 with `probability` (in steps of 2^-16), else 0; four coins from a word of 64 bits."""
    xp = array_namespace(key.like)
    dtype = getattr(xp, dtype) if isinstance(dtype, str) else dtype
    count = math.prod(shape)
    lanes = _lanes(bits(key, (count + 3) // 4))
    return xp.reshape(xp.astype(lanes[:count] < round(probability * 65536), dtype), shape)


def permutation(key: Key, count: int) -> Array:
    """The numbers 0 ... count - 1 in random order, int64: (count,).

    The order of hashed counters. SplitMix64 is a bijection, so no two hashes are equal and the
    order does not depend on how a backend sorts ties.
    """
    xp = array_namespace(key.like)
    return xp.argsort(bits(key, count))
