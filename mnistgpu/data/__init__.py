"""Labelled digits: the embedded MNIST, and files in the usual formats, checked.

Read `digits.py` first: `load` returns a set to train on, `load_digits` images to answer. Images are
rows (N, pixels) of uint8, 0 for paper and 255 for ink, from the file to the device. `idx.py`,
`table.py` (CSV, also Kaggle's train.csv and test.csv) and `npz.py` read one format each;
`streams.py` opens and unpacks files safely for all three. `arrays.py` takes arrays, which
`conversion.py` makes of what people hold them in. For files and arrays alike `shapes.py` knows the
shapes of images, `levels.py` their grey levels, and `classes.py` labels. `splitting.py` holds
images out.

Every file is treated as if it were made to do harm: the outcome is complete data, or a DataError
that names the file, the place and the remedy. A size that a file claims is compared with the file's
own size before memory is allocated, so memory and time grow with what a file really holds.
"""

from mnistgpu.data.digits import Dataset, Digits, load, load_digits
from mnistgpu.data.splitting import prepared, split

__all__ = ["Dataset", "Digits", "load", "load_digits", "prepared", "split"]
