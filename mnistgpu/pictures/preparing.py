"""A person's picture of a digit, converted to an image of the kind that the network has learned.

MNIST shows light ink on black, the digit's longest side 20 pixels long, its centre of mass in the
middle of 28x28. A picture is converted in the way of MNIST's authors: the ink is cropped, scaled by
area, and placed with its centre of mass at (14.0, 14.0). MNIST's own images come out unchanged, up
to one grey level.
"""

from __future__ import annotations

import numpy as np

from mnistgpu.errors import DataError

BOX = 20 / 28  # the share of an image that its digit takes
FINE = 4  # strokes are measured on a copy so many times as large as the digit will be
THIN, WANTED = 1.7, 2.2  # widths of strokes in pixels of the 20; MNIST's are 2 to 4 wide


def prepare(ink: np.ndarray, image_shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    """Ink (H, W), 0 for paper, as the network's input (pixels,) uint8; DataError if there is none.

    The longest side becomes 20 of 28 pixels, the darkest place 255, and the centre of mass comes to
    the middle, index (14.0, 14.0) of 28x28, as near as whole pixels can.
    """
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if len(rows) == 0:
        raise DataError("no digit found: the picture is blank; draw a digit")
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = round(BOX * min(image_shape))
    if max(ink.shape) > FINE * box:
        ink = fitted(ink, FINE * box)
        ink = thickened(ink, box)
    digit = fitted(ink, box)
    digit *= 255.0 / digit.max()
    weight = digit.sum()
    image = np.zeros(image_shape, dtype=np.uint8)
    place = []
    for axis, (length, size) in enumerate(zip(image_shape, digit.shape, strict=True)):
        along = digit.sum(axis=1 - axis)
        middle = float(np.arange(size) @ along / weight)
        start = min(max(round(length / 2 - middle), 0), length - size)
        place.append(slice(start, start + size))
    image[tuple(place)] = np.round(digit)
    return image.reshape(-1)


def fitted(ink: np.ndarray, longest: int) -> np.ndarray:
    """Ink with its longest side scaled to `longest`; each pixel is the mean of its area."""
    import cv2

    scale = longest / max(ink.shape)
    height, width = (max(1, round(side * scale)) for side in ink.shape)
    if (height, width) == ink.shape:
        return np.array(ink, dtype=np.float32)
    small: np.ndarray = cv2.resize(
        np.asarray(ink, dtype=np.float32), (width, height), interpolation=cv2.INTER_AREA
    )
    return small


def thickened(ink: np.ndarray, box: int) -> np.ndarray:
    """Ink whose strokes would be too thin in `box` pixels, made as thick as a pen's of MNIST.

    A ballpoint's line, scaled down to 20 pixels, would be paler than any stroke in MNIST.
    """
    import cv2

    ink = ink / ink.max()
    mask = np.pad(ink > 0.35, 1)
    edges = sum(int(np.diff(mask, axis=axis).sum()) for axis in (0, 1))
    # a stroke's area is its length times its width, its outline is twice its length, and an outline
    # of length l crosses 4/pi l edges of pixels, averaged over its angle
    width = 2.0 * (4.0 / np.pi) * int(mask.sum()) / max(edges, 1)
    longest: int = max(ink.shape)
    if width * box / longest >= THIN:
        return ink
    grow = max(1, round((WANTED * longest / box - width) / 2.0))
    square = np.ones((2 * grow + 1, 2 * grow + 1), np.uint8)
    thick: np.ndarray = cv2.dilate(np.pad(ink, grow), square)
    return thick
