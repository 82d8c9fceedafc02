"""Files of digits that unpack to far more than they hold: refused in little time and memory."""

import gzip
import importlib.util
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import processes
from helpers.bad_digit_files import (
    IMAGES,
    PAIR,
    TABLE,
    X,
    npy_bytes,
    npy_header,
    zip_bytes,
    zip_of_raw,
)
from helpers.digit_files import FOLDER_NAMES, idx_bytes, npz_bytes


def bomb(size: int, header: bytes = b"", wbits: int = 31, unit: bytes = b"\0") -> bytes:
    """A header and about `size` bytes, compressed: one packed megabyte of a unit, repeated."""
    packer = zlib.compressobj(9, wbits=wbits)
    start = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = zlib.compressobj(9, wbits=-15)
    packed = zeros.compress(unit * (2**20 // len(unit)))
    megabyte = packed + zeros.flush(zlib.Z_FULL_FLUSH)
    return start + megabyte * (size >> 20) + packer.flush()


def idx_header(*shape):
    return idx_bytes(np.zeros(0, np.uint8), shape)


def sparse(path, start: bytes, size: int):
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)


def make_bombs(folder: Path) -> None:
    head = TABLE.splitlines(keepends=True)[0]
    zeros = npy_bytes(np.zeros(0), npy_header(shape=(2**10, 2**10, 2**10)))
    files = {
        "gzip-longer-than-declared": bomb(2**30, idx_header(10, 28, 28)),
        "gzip-as-long-as-declared": bomb(2**30, idx_header(2**20 + 1, 32, 32)),
        "gzip-declares-terabytes": bomb(2**22, idx_header(2**32 - 1, 2**10, 1)),
        "gzip-just-under-the-limit": bomb(2**24, idx_header(2**14 - 1, 32, 32)),
        "gzip-over-the-limit": bomb(2**26, idx_header(2**16 - 1, 32, 32)),
        "labels.npz": npz_bytes(True, x_train=IMAGES, y_train=np.full(2**24 - 128, 255, np.uint8)),
        "wide-labels.npz": npz_bytes(True, x_train=IMAGES, y_train=np.full(2**21 - 16, 99)),
        "gzip-endless-name": b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 2**25,
        "gzip-empty-blocks": b"\x1f\x8b\x08\0" + bytes(6) + b"\0\0\0\xff\xff" * 2**20,
        "idx-declares-terabytes": idx_bytes(IMAGES, (2**32 - 1, 2**16, 2**16)),
        "bomb.npz": zip_of_raw(b"x_train.npy", bomb(2**30, zeros, -15), len(zeros) + 2**30),
        "bomb-that-claims-little.npz": zip_of_raw(
            b"x_train.npy", bomb(2**30, X[1], -15), len(X[1])
        ),
        "long-header.npz": zip_of_raw(
            b"x_train.npy", bomb(2**26, b"\x93NUMPY\2\0\xff\xff\xff\x03", -15), 2**26 - 1
        ),
        "many-members.npz": zip_of_many(2**19),
        "many-columns.csv": b"0," * 10**6 + b"0\n" + TABLE,
        "many-names.csv": b",".join(b"pixel%d" % i for i in range(10**6)) + b"\n",
        "short-lines.csv": head + b"0\n" * 10**6,
        "blank-lines.csv": TABLE + b"\n" * 2**24 + TABLE,
        "blank-returns.csv": TABLE + b"\r\n" * 2**23 + TABLE,
        "wide-lines.csv": TABLE + (b"," * 60_000 + b"\n") * 100,
        "wide-line-that-makes-up.csv": TABLE + b"\n" * 70 + b"," * 70 * 784 + b"\n",
        "longest-number.csv": TABLE + b"1" * 60_000 + b",0" * 784 + b"\n",
        "one-cell-lines.csv": b"0," * 783 + b"0\n" + b"0\n" * 2**23,
        "spaces.csv": b"0," * 783 + b"0\n" + b" \n" * 2**23,
        "half-lines.csv": (b"0," * 783 + b"0\n" + b"\n" * 60_000) * 200,
        "returns.csv": b"0," * 783 + b"0\n" + b"0\r0\n" * 2**22,
        "quotes.csv": b'"' + b"0," * 2**20 + b"\n" * 2**20,
    }
    line = b"0," * 783 + b"0\n"
    files |= {
        "lines.csv.gz": bomb(2**28, unit=line),
        "lines.csv.zip": zip_of_raw(b"d.csv", bomb(2**30, wbits=-15, unit=line), 2**30),
        "lines-that-claim-little.csv.zip": zip_of_raw(
            b"d.csv", bomb(2**30, wbits=-15, unit=line), 2**20
        ),
        "blank-lines.csv.gz": bomb(2**30, line, unit=b"\n"),
        "good-blanks.txt": (b"0 " * 63 + b"0" + b" " * 60_000 + b"\n") * 300,
        "zeros.npy.gz": bomb(2**30, npy_bytes(np.zeros(0), npy_header(shape=(2**10,) * 3))),
        "npy-declares-terabytes.npy": npy_bytes(IMAGES, npy_header(shape=(2**32, 28, 28))),
        "text.npz": npz_bytes(
            True, x_train=np.zeros((2**22, 1, 1), np.uint8), y_train=np.full(2**22 - 64, b"a")
        ),
        "many-files.zip": zip_bytes(*((f"{i}/train.csv", b"") for i in range(4000))),
        "many-names-of-classes.csv": b"".join(
            b"%x,%b" % (i, b"0," * 63 + b"0\n") for i in range(1, 2**14)
        ),
        "good-names.csv": (b"seven," + b"0," * 63 + b"0\n") * 2**14,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if importlib.util.find_spec("pyarrow"):
        columns = {f"p{i}": np.zeros(2**19, np.uint8) for i in range(64)}
        pd.DataFrame(columns).to_parquet(folder / "zeros.parquet")
        same = pd.DataFrame({"image": [{"bytes": b"x" * 99}] * 2**17, "label": 0})
        same.to_parquet(folder / "same.parquet")
    largest = np.asfortranarray(np.zeros((2**14 - 1, 32, 32), np.uint8))
    whole = {"x_train": largest, "y_train": np.zeros(2**21 - 16, np.int64)}
    np.savez_compressed(
        folder / "four-members.npz", **whole, x_test=largest, y_test=whole["y_train"]
    )
    (folder / "four-files").mkdir()
    for (_, kind), name in FOLDER_NAMES.items():
        shape = (2**14 - 1, 32, 32) if kind == "images" else (2**24 - 8,)
        content = gzip.compress(idx_header(*shape) + bytes(np.prod(shape)))
        (folder / "four-files" / f"{name}.gz").write_bytes(content)
    sparse(folder / "one-line.csv", b"", 2**30)
    sparse(folder / "long-line.csv", TABLE, 2**30)
    sparse(folder / "sparse-idx", idx_header(2**32 - 1, 2**10, 2**10), 2**40)
    sparse(folder / "sparse-idx-as-declared", idx_header(5 * 2**20, 2**5, 2**5), 5 * 2**30 + 16)
    sparse(folder / "sparse.npz", npz_bytes(**PAIR), 2**36)
    os.mkfifo(folder / "pipe.csv")
    os.mkfifo(folder / "pipe.npz")
    os.mkfifo(folder / "pipe-images-idx3-ubyte")
    for kind in ("images", "labels"):  # a pipe as the second of a pair
        (folder / f"half-{kind}-idx").symlink_to(
            folder / ("good" if kind == "images" else "pipe.csv")
        )
    (folder / "good").write_bytes(idx_bytes(IMAGES))
    (folder / "endless.csv").symlink_to("/dev/zero")
    (folder / "endless.npz").symlink_to("/dev/zero")
    (folder / "endless-idx").symlink_to("/dev/urandom")
    (folder / "terminal.csv").symlink_to("/dev/tty")


def zip_of_many(count: int) -> bytes:
    """A zip archive whose directory lists a member `count` times, in 24 MB for 2^19."""
    content = zip_bytes(X)
    end = content.rindex(b"PK\5\6")
    start = content.index(b"PK\1\2")
    directory = content[start:end] * count
    counts = struct.pack("<HHHHIIH", 0, 0, 0, 0, len(directory), start, 0)
    return content[:start] + directory + b"PK\5\6" + counts


READ_ALL = """
import json, sys, time
from pathlib import Path
import pandas  # first, so that no file is blamed for its import
from mnistgpu import data
from mnistgpu.errors import DataError

def peak():  # of this process alone: ru_maxrss starts at the value of the parent
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.process_time()
    try:
        (data.load if path.stem.startswith("four") else data.load_digits)(path)
        text = "accepted"
    except DataError as error:
        text = str(error)
    seconds = time.process_time() - start
    print(json.dumps([path.name, text, seconds, peak() - before]), flush=True)
"""


@pytest.fixture
def folder_of_bombs():
    """Hundreds of megabytes: not in pytest's own folders, which are kept for three runs."""
    with tempfile.TemporaryDirectory() as name:
        make_bombs(Path(name))
        yield Path(name)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_bombs_need_little_time_and_memory(folder_of_bombs):
    process = processes.run(
        [sys.executable, "-c", READ_ALL, folder_of_bombs], stdin=subprocess.DEVNULL
    )
    assert process.returncode == 0, process.stderr
    found = {name: rest for name, *rest in map(json.loads, process.stdout.splitlines())}
    assert found.keys() == {path.name for path in folder_of_bombs.iterdir()}
    for name, (text, seconds, megabytes) in found.items():
        assert seconds < 2, (name, seconds)
        assert megabytes < 300, (name, megabytes)
        assert (text == "accepted") == name.startswith("good"), (name, text)
        assert "\n" not in text
    expected = {
        "endless": "is a device or a pipe, where a file is needed; give",
        "pipe": "is a device or a pipe, where a file is needed; give",
        "terminal": "is a device or a pipe, where a file is needed; give",
        "bomb.npz": "compressed bytes claim to hold 1,073,741,",
        "sparse-idx-as": "5,368,709,136 bytes, but the limit is 4,294,967,296; split it",
        "many-members": "a part that should be small claims 29,884,416 bytes; copy",
        "one-line": "line 1: more than 65,536 bytes",
        "long-line": "line 8: more than 65,536 bytes",
    }
    for beginning, message in expected.items():
        for name in found:
            assert not name.startswith(beginning) or message in found[name][0], found[name]
