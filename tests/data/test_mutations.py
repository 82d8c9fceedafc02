"""Mutated files of digits: whatever the bytes, the outcome is whole data or a DataError.

MNISTGPU_EXAMPLES=10000 tries more of them.
"""

import gzip
import os
import random
import re

import numpy as np
import pytest
from helpers.bad_digit_files import IMAGES, LABELS, ROWS
from helpers.digit_files import csv_bytes, idx_bytes, npz_bytes

from mnistgpu import data
from mnistgpu.errors import DataError

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies
HealthCheck = hypothesis.HealthCheck

EXAMPLES = int(os.environ.get("MNISTGPU_EXAMPLES", "100"))
VALID = {
    "images.idx": idx_bytes(IMAGES[:, :5, :5]),
    "images.idx.gz": gzip.compress(idx_bytes(IMAGES[:, :5, :5])),
    "labels.idx": idx_bytes(LABELS),
    "labels.idx.gz": gzip.compress(idx_bytes(LABELS)),
    "d.csv": csv_bytes(ROWS[:3], LABELS[:3]),
    "plain.csv": csv_bytes(ROWS[:3], LABELS[:3], "last", header=False, end="\r\n"),
    "d.npz": npz_bytes(x_train=IMAGES[:, :5, :5], y_train=LABELS),
    "packed.npz": npz_bytes(True, x_train=IMAGES[:, :5, :5], y_train=LABELS),
}


def mutated(content: bytes, seed: int) -> bytes:
    """One to four random edits: bits flipped, bytes changed, inserted, removed or cut off."""
    rng, edited = random.Random(seed), bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(edited) + 1)
        # Headers are short and bodies long: half of all edits go to the first or last 64 bytes.
        at = rng.choice([at, at, min(at, at % 64), max(0, len(edited) - at % 64)])
        some = rng.choice([1, 1, 2, 4, 8, 100])
        kind = rng.randrange(7)
        if kind == 0 and at < len(edited):
            edited[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(edited):
            edited[at] = rng.choice([0, 1, 255, 44, 10, 13, 45, 46, 32, 34, rng.randrange(256)])
        elif kind == 2:
            del edited[at : at + some]
        elif kind == 3:
            edited[at:at] = rng.randbytes(some)
        elif kind == 4:
            edited[at:at] = edited[: some * 10]
        elif kind == 5:
            edited[at:at] = rng.choice([b"0", b",", b"\n", b"\r\n", b"1,2", b"\0" * 4, b"\xff" * 4])
        elif kind == 6 and rng.random() < 0.3:
            del edited[at:]
    return bytes(edited)


def outcome(path):
    """The digits at a path if they are whole, None if they are refused."""
    try:
        digits = data.load(path).train
    except DataError as error:
        text = str(error)
        if str(path.parent) not in text or "\n" in text:
            pytest.fail(text)
        return None
    count, pixels = digits.images.shape
    assert digits.images.dtype == digits.labels.dtype == np.uint8
    assert digits.labels.shape == (count,)
    assert digits.image_shape[0] * digits.image_shape[1] == pixels > 0
    assert count > 0
    assert digits.labels.max() <= 9
    return digits


def cells_of_table(content: bytes, header: bool):
    """The cells of a table of 785 columns, parsed strictly; None if one is not 0 to 255."""
    lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    if lines[-1] != b"" and content.endswith(b"\r"):
        return None  # a lone return, for no line feed ends the line
    while lines and lines[-1] == b"":
        lines.pop()
    rows = [line.split(b",") for line in lines[header:]]
    for row in rows:
        if len(row) != 785 or not all(re.fullmatch(rb"[0-9]{1,3}", cell) for cell in row):
            return None
    numbers = np.array([[int(cell) for cell in row] for row in rows])
    return numbers if len(numbers) and numbers.max() <= 255 else None


@pytest.mark.parametrize("name", VALID)
def test_mutated_files(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("mutated")
    pair = {"images.idx": "labels.idx", "labels.idx": "images.idx"}
    stem = name.removesuffix(".gz")
    if stem in pair:
        (folder / pair[stem]).write_bytes(VALID[pair[stem]])
    path = folder / name
    to_load = folder / "images.idx" if stem == "labels.idx" else path
    path.write_bytes(VALID[name])
    assert outcome(to_load) is not None
    accepted = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64 - 1))
    def mutations(seed):
        nonlocal accepted
        content = mutated(VALID[name], seed)
        path.write_bytes(content)
        digits = outcome(to_load)
        accepted += digits is not None
        if name == "d.csv" and content.startswith(VALID[name].partition(b"\n")[0] + b"\n"):
            expected = cells_of_table(content, header=True)
            if expected is None and digits is not None:  # whole numbers written as 1.0 or 1e2
                rows = content.rstrip(b"\r\n").split(b"\n")[1:]
                expected = np.array([[float(cell) for cell in row.split(b",")] for row in rows])
            valid = expected is not None and expected[:, 0].max() <= 9
            assert (digits is not None) == valid
            if valid:
                np.testing.assert_array_equal(digits.images, expected[:, 1:])
                np.testing.assert_array_equal(digits.labels, expected[:, 0])
        if name == "images.idx" and digits is not None:
            np.testing.assert_array_equal(
                digits.images.reshape(-1), np.frombuffer(content[16:], "u1")
            )
        if name.endswith(".npz") and digits is not None and content != VALID[name]:
            # zip has a checksum for each member, so what is accepted is what was written
            np.testing.assert_array_equal(digits.labels, LABELS)

    mutations()
    assert accepted < EXAMPLES
