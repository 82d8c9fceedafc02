"""Batches without the pixels that are blank in all of their images.

Here for speed alone. Many pixels of a digit near the edge are blank in every image of a small
batch, and what they add to a product are zeros. So that they can be left out without copying any
weights, the pixels are sorted, those that the fewest images have ink at first: then most of the
blank ones of a batch are the first so many. Of MNIST's 784 pixels about 590 remain for 32 images,
640 for 128 and 690 for 1024. 67 are blank in all images, and their weights have no gradient: where
such weights stay as they are, most are dropped for a pixel that is 255 in every image, and whose
weights are the biases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PIECE = 250  # images at once, since a byte counts up to 255
# To sort an image takes as long as four to ten visits to it save (measured with 128 units); and the
# sorted images must not take memory without end.
EPOCHS, MOST_BYTES = 12, 2**28
LEAST = 0.1  # of the pixels, or it does not pay
MULTIPLE = 16  # of which as many are left out, so that `small_products` can cut the rest evenly


class SortedImages:
    """images (N, pixels) uint8 with their pixels in another order: `order` (kept,) of the old.

    The rarest come first, and `blank` (N,) says how many pixels an image has before its first ink.
    The `dropped` rarest are not there; with `bias` there is a last pixel, 255 in every image.
    """

    def __init__(
        self, images: np.ndarray, counts: np.ndarray, dropped: int = 0, bias: bool = False
    ):
        self.order, self.bias = np.argsort(counts, kind="stable")[dropped:], bias
        kept = len(self.order)
        self.images = np.full((len(images), kept + bias), 255, np.uint8)
        self.blank = np.empty(len(images), np.int32)
        for start in range(0, len(images), PIECE):
            part = slice(start, start + PIECE)
            self.images[part, :kept] = np.take(images[part], self.order, axis=1, mode="clip")
            # of an image without ink this says 0, which keeps all of its batch's pixels; but with
            # `bias` that its last pixel is the first with ink
            self.blank[part] = (self.images[part] != 0).argmax(axis=1)

    def blank_in(self, rows: np.ndarray | slice, starts: Sequence[int]) -> list[int]:
        """How many of the first pixels can be left out, of each batch of these rows."""
        blank = np.minimum.reduceat(self.blank[rows], starts)
        return (blank - blank % MULTIPLE).tolist()


def counts_of_ink(images: np.ndarray) -> np.ndarray:
    """How many images have ink at each pixel (pixels,)."""
    counts = np.zeros(images.shape[1], np.int64)
    for start in range(0, len(images), PIECE):
        inked = images[start : start + PIECE] != 0
        counts += np.add.reduce(inked.view(np.uint8), axis=0, dtype=np.uint8)
    return counts


def sort_where_it_pays(
    images: np.ndarray, batch_rows: int, steps: int, drop: bool
) -> SortedImages | None:
    """The images sorted, for so many steps with batches of them; None if that does not pay.

    `drop` says that weights without a gradient stay as they are: then pixels that are blank in all
    images are dropped for one of the biases, as many as leave a multiple.
    """
    if steps * batch_rows < EPOCHS * len(images) or images.nbytes > MOST_BYTES:
        return None
    counts = counts_of_ink(images)
    # the first pixels that together have ink in less than an image of a batch
    blank = np.searchsorted(np.cumsum(np.sort(counts)), len(images) / batch_rows)
    if blank < LEAST * len(counts):
        return None
    never = int(np.count_nonzero(counts == 0))
    dropped = never - (never - len(counts) - 1) % MULTIPLE
    if drop and dropped > 0:
        return SortedImages(images, counts, dropped, bias=True)
    return SortedImages(images, counts)
