"""The functions that find ink and its connected parts, compared with SciPy and by hand."""

import numpy as np

from mnistgpu.pictures import components


def test_label_against_scipy():
    from scipy import ndimage

    rng = np.random.default_rng(1)
    for density in (0.05, 0.3, 0.45, 0.7):
        for shape in ((1, 1), (1, 40), (40, 1), (37, 53), (120, 90)):
            mask = rng.random(shape) < density
            names, boxes = components.label(mask)
            theirs, count = ndimage.label(mask, np.ones((3, 3)))
            assert len(boxes) == count
            pairs = set(zip(names.ravel().tolist(), theirs.ravel().tolist(), strict=True))
            assert len(pairs) == count + (not mask.all())  # one name of ours for each of theirs
            for name, box in enumerate(boxes, 1):
                rows, columns = np.nonzero(names == name)
                assert box.tolist() == [
                    rows.min(), columns.min(), rows.max() + 1, columns.max() + 1,
                ]  # fmt: skip


def test_label_of_a_spiral_is_one():
    mask = np.zeros((101, 101), bool)
    y = x = 50
    step, sign = 2, 1
    while 0 <= x + sign * step < 101 and 0 <= y + sign * step < 101:
        mask[y, min(x, x + sign * step) : max(x, x + sign * step) + 1] = True
        x += sign * step
        mask[min(y, y + sign * step) : max(y, y + sign * step) + 1, x] = True
        y += sign * step
        step, sign = step + 2, -sign
    assert len(components.label(mask)[1]) == 1
