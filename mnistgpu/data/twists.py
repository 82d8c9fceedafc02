"""Training images and labels changed on purpose, to see what a network makes of them.

Each function takes digits and returns others; the table of `runs/twists.py` has their names.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from mnistgpu import counter_rng
from mnistgpu.data.digits import Digits, read_only
from mnistgpu.errors import UsageError

COPIES = re.compile(r"([1-9][0-9]{0,2}) x ([0-9])")


def shuffled_labels(digits: Digits, share: float, seed: int) -> Digits:
    """The digits, with a share of the labels (0 to 1) exchanged among their images at random.

    Which label goes where depends on the seed and the number of digits. Each label is there as
    often as before (Zhang et al. 2017, "Understanding deep learning requires rethinking
    generalization").
    """
    key = counter_rng.fold_in(counter_rng.key(seed, like=digits.images), counter_rng.TWIST)
    of_choice, of_order = (counter_rng.fold_in(key, number) for number in range(2))
    count = round(share * len(digits))
    chosen = counter_rng.permutation(of_choice, len(digits))[:count]
    labels = np.array(digits.labels)
    labels[chosen] = labels[chosen[counter_rng.permutation(of_order, count)]]
    return replace(digits, labels=read_only(labels))


def unscaled_pixels(digits: Digits) -> Digits:
    """The digits with pixels from 0 to 255 as float32, which nothing divides by 255 later."""
    return replace(digits, images=read_only(digits.images.astype(np.float32)))


def copies_of_a_digit(digits: Digits, copies: str) -> Digits:
    """The digits, with one of them repeated: "40 x 7" is 40 images of a 7 for each other image.

    The images of that digit are repeated one after the other until there are so many; the others
    come first. UsageError if there is no image of that digit, or none of another.
    """
    times, digit = times_and_digit(copies)
    labels = np.asarray(digits.labels)
    own, other = np.flatnonzero(labels == digit), np.flatnonzero(labels != digit)
    if not len(own) or not len(other):
        raise UsageError(
            f"copies of a digit {copies!r}: the {len(digits):,} training images have "
            f"{len(own):,} of the digit {digit} and {len(other):,} of others, and both are needed; "
            "take more images"
        )
    rows = np.concatenate([other, np.resize(own, times * len(other))])
    return replace(
        digits, images=read_only(digits.images[rows]), labels=read_only(labels[rows]), weights=None
    )


def times_and_digit(copies: str) -> tuple[int, int]:
    """The two numbers of "40 x 7"; UsageError if it is written otherwise."""
    found = COPIES.fullmatch(copies)
    if found is None:
        raise UsageError(f'copies of a digit: must be such as "40 x 7", not {copies!r}')
    return int(found[1]), int(found[2])
