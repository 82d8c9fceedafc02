"""The bytes of a safetensors file: how arrays lie in it, and what is refused."""

import io
import json

import numpy as np
import pytest

from mnistgpu.errors import DataError
from mnistgpu.storage import tensor_file
from mnistgpu.storage.tensor_file import Expected

ARRAYS = {
    "a": np.array([1.0, 2.0, 3.0], dtype=np.float32),
    "b": np.array([[4.0], [5.0]], dtype=np.float64),
}
EXPECTED = {"a": Expected((3,)), "b": Expected((2, 1))}


def written(path):
    """The header of a file of ARRAYS, and the bytes after it."""
    tensor_file.write(path, "some-kind", 1, {"note": "é"}, ARRAYS)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def read(header, numbers):
    """What the reader finds in a file of this header and these bytes."""
    head = json.dumps(header).encode()
    content = len(head).to_bytes(8, "little") + head + numbers
    found = tensor_file.read(
        io.BytesIO(content), len(content), "it", "some-kind", 1, lambda texts: EXPECTED
    )
    return found[1]


def test_wider_numbers_come_first(tmp_path):
    """So each array begins at a multiple of the size of its numbers."""
    header, numbers = written(tmp_path / "it")
    assert header["b"] == {"dtype": "F64", "shape": [2, 1], "data_offsets": [0, 16]}
    assert header["a"] == {"dtype": "F32", "shape": [3], "data_offsets": [16, 28]}
    assert numbers == ARRAYS["b"].tobytes() + ARRAYS["a"].tobytes()
    assert (len((tmp_path / "it").read_bytes()) - len(numbers)) % 8 == 0


def test_the_same_arrays_give_the_same_bytes(tmp_path):
    """In whatever order, and however they lie in memory."""
    written(tmp_path / "it")
    arrays = {"b": np.asfortranarray(ARRAYS["b"]), "a": ARRAYS["a"].repeat(2)[::2]}
    tensor_file.write(tmp_path / "again", "some-kind", 1, {"note": "é"}, arrays)
    assert (tmp_path / "again").read_bytes() == (tmp_path / "it").read_bytes()


def test_gaps_between_arrays_are_refused(tmp_path):
    header, numbers = written(tmp_path / "it")
    np.testing.assert_equal(read(header, numbers), ARRAYS)
    header["a"]["data_offsets"] = [24, 36]
    with pytest.raises(DataError, match="its arrays do not lie one after the other"):
        read(header, numbers[:16] + b"hidden!!" + numbers[16:])


def test_arrays_that_overlap_are_refused(tmp_path):
    header, numbers = written(tmp_path / "it")
    header["a"]["data_offsets"] = [4, 16]
    with pytest.raises(DataError, match="its arrays do not lie one after the other"):
        read(header, numbers[:16])
