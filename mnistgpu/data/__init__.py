"""Labelled digits: the embedded MNIST, and the files that people have, checked.

Read `digits.py` first: `load` gives a set to train on, `load_digits` images to look at. Images are
rows (N, pixels) of uint8, 0 for paper and 255 for ink, from the file to the device. `idx.py`,
`table.py` (CSV) and `npz.py` read one format each, over the checks in `streams.py`.

A reader takes every file as if it were made to do harm: the outcome is whole data, or a DataError
that names the file, the place and the mend. A size that a file claims is believed only as far as
the file's own size bears it out, so memory and time grow with what a file holds.
"""

from mnistgpu.data.digits import Dataset, Digits, load, load_digits, split

__all__ = ["Dataset", "Digits", "load", "load_digits", "split"]
