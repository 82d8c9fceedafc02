"""Labelled digits: the embedded MNIST, arrays, and files in the usual formats, checked.

Read `digits.py` first, then `loading.py`: `load` returns a set to train on, `load_digits` images to
answer; `embedded.py` has the MNIST of the package. Images are rows (N, pixels) of uint8, 0 for
paper and 255 for ink, from the file to the device. `finding.py` says which files at a path are
which part of a set (`naming.py`, `formats.py`, `folders.py`; `emnist.py` knows what EMNIST does
differently). Readers return what stands in a file (`raw.py`): `idx.py`, `table.py` (with
`columns.py` and `cells.py`), `npz.py`, `npy.py`, `parquet.py`; `streams.py` opens and unpacks files
safely for all. `arrays.py` takes arrays, which `conversion.py` makes of what people hold them in.
For files and arrays alike `shapes.py` knows the shapes of images, `levels.py` their grey levels,
and `classes.py` labels. `splitting.py` holds images out, `weighting.py` says how much each counts,
and `twists.py` changes digits on purpose, for experiments. `made.py` reads the large sets of
`mnistgpu make-data`, whose images stay in their files (`mapped.py`) and are shuffled by
`windows.py`.

Every file is treated as if it were made to do harm: the outcome is complete data, or a DataError
that names the file, the place and the remedy. A size that a file claims is compared with the file's
own size before memory is allocated, so memory and time grow with what a file really holds.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnistgpu.data.digits import Dataset, Digits
    from mnistgpu.data.loading import load, load_digits
    from mnistgpu.data.splitting import prepared, split

_NAMES = {
    "Dataset": "digits",
    "Digits": "digits",
    "load": "loading",
    "load_digits": "loading",
    "prepared": "splitting",
    "split": "splitting",
}
__all__ = ["Dataset", "Digits", "load", "load_digits", "prepared", "split"]


def __getattr__(name: str) -> object:
    """The object of that name, imported now: `settings` needs names of this room, but no NumPy."""
    import importlib

    if name not in _NAMES:
        raise AttributeError(f"module 'mnistgpu.data' has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"mnistgpu.data.{_NAMES[name]}"), name)
    globals()[name] = found
    return found
