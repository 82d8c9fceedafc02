"""Which format a file has: by the ending of its name, or else by its first bytes."""

from __future__ import annotations

from pathlib import PurePath

from mnistgpu.data.streams import Source
from mnistgpu.errors import DataError

ENDINGS = {
    ".csv": "table",
    ".tsv": "table",
    ".txt": "table",
    ".npz": "npz",
    ".npy": "npy",
    ".parquet": "parquet",
    ".zip": "zip",
}
PACKED = (".gz", ".zip")  # which may follow the ending of a table, and .gz any other
AS_NPZ = "numpy.savez('digits.npz', x_train=..., y_train=...)"
AS_TABLE = "DataFrame.to_csv('digits.csv', index=False)"
UNPACK = "unpack it, and give the folder or the file"
RUNS_CODE = f"it can run code while it is read; load it where you trust it, and save with {AS_NPZ}"
MENDS = {  # formats that are not read, and how to save their content so that it is
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth", ".joblib"), RUNS_CODE),
    ".mat": f"read it with scipy.io.loadmat, and save with {AS_NPZ}",
    **dict.fromkeys((".h5", ".hdf5"), f"read it with h5py, and save with {AS_NPZ}"),
    ".arff": f"read it with scipy.io.arff.loadarff, and save with pandas.{AS_TABLE}",
    **dict.fromkeys(
        (".xls", ".xlsx", ".ods"), f"read it with pandas.read_excel, and save with {AS_TABLE}"
    ),
    ".feather": f"read it with pandas.read_feather, and save with {AS_TABLE}",
    **dict.fromkeys(
        (".json", ".jsonl"), f"read it with pandas.read_json, and save with {AS_TABLE}"
    ),
    **dict.fromkeys((".xz", ".bz2", ".zst", ".7z", ".rar", ".tar", ".tgz"), UNPACK),
}
BEGINNINGS = {
    b"\x93NUMPY": "npy",
    b"PAR1": "parquet",
    b"PK\3\4": "zip",
    b"\0\0": "idx",
}
START = 512  # bytes that tell text from other data
TEXT = frozenset(range(32, 127)) | frozenset(b"\t\r\n")


def ending_of(name: str) -> str:
    """The ending of a name that says its format, in small letters, without .gz or .zip after it."""
    path = PurePath(name.lower())
    if path.suffix in PACKED and PurePath(path.stem).suffix in (*ENDINGS, *MENDS):
        path = PurePath(path.stem)
    return path.suffix


def stem_of(name: str) -> str:
    """A name without the endings that say its format."""
    path = PurePath(name)
    while path.suffix.lower() in (*ENDINGS, *MENDS, *PACKED, ".idx", ".ubyte"):
        path = PurePath(path.stem)
    return path.name


def is_idx_name(name: str) -> bool:
    """Whether a name may be that of an IDX file: without an ending, or one such as .idx3-ubyte."""
    ending = PurePath(name.lower().removesuffix(".gz")).suffix
    return not ending or "idx" in ending or "ubyte" in ending


def format_of(source: Source) -> str:
    """table, npz, npy, parquet, zip or idx. DataError, with the mend, for what is not read."""
    ending = ending_of(source.name)
    if ending in MENDS:
        raise DataError(f"{source}: files of the format {ending} are not read: {MENDS[ending]}")
    if ending in ENDINGS:
        return ENDINGS[ending]
    with source.opened() as content:
        start = content.read(START)
    for beginning, kind in BEGINNINGS.items():
        if start.startswith(beginning):
            return kind
    is_text = TEXT.issuperset(start) and not is_idx_name(source.name)
    return "table" if is_text else "idx"
