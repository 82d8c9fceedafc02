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


def test_large_arrays_are_read_as_they_were_written(tmp_path):
    """Of more bytes than are read at once, and beside smaller ones."""
    arrays = {
        "a": np.arange(2**18 + 3, dtype=np.float32),
        "b": np.arange(2**17 + 5, dtype=np.float64),
        "c": np.ones(2, dtype=np.float32),
    }
    tensor_file.write(tmp_path / "it", "some-kind", 1, {}, arrays)
    expected = {name: Expected(array.shape) for name, array in arrays.items()}
    found = tensor_file.read_file(tmp_path / "it", "some-kind", 1, lambda texts: expected)[1]
    np.testing.assert_equal(found, arrays)


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


def changed(header, path, value):
    """The header with another value at a path of names; None removes it."""
    *folders, last = path
    place = header
    for name in folders:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return header


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (["a"], None, "it: holds the arrays 'b', where 'a', 'b' are expected; give another file"),
        (["c"], {}, "holds the arrays 'a', 'b', 'c', where 'a', 'b' are expected"),
        (["a"], [], "the header is wrong about a; copy it again"),
        (["a", "more"], 1, "the header is wrong about a"),
        (["a", "dtype"], None, "the header is wrong about a"),
        (["a", "shape"], "3", "the header is wrong about a"),
        (["a", "shape"], [-3], "the header is wrong about a"),
        (["a", "shape"], [3.0], "the header is wrong about a"),
        (["a", "shape"], [2**63], "the header is wrong about a"),
        (["b", "shape"], [2, True], "the header is wrong about b"),
        (["a", "shape"], [1] * 8 + [3], "the header is wrong about a"),
        (["a", "shape"], [3, 1, 1, 1, 1, 1, 1, 1], r"a has the shape \[3, 1.*, where \[3\] fits"),
        (["a", "shape"], [4], r"a has the shape \[4\], where \[3\] fits the rest of the file"),
        (["a", "data_offsets"], [16], "the header is wrong about a"),
        (["a", "data_offsets"], [16, 28, 28], "the header is wrong about a"),
        (["a", "data_offsets"], [16, 27], "the header is wrong about a"),
        (["a", "data_offsets"], [16, 32], "the header is wrong about a"),
        (["a", "dtype"], "I32", "a is of type 'I32', where float32 or float64 is expected"),
        (["a", "dtype"], ["F32"], "a is of type .*, where float32 or float64 is expected"),
        (["__metadata__"], [], "a safetensors file, but not a some kind; give another file"),
        (["__metadata__", "note"], 7, "a safetensors file, but not a some kind"),
        (["__metadata__", "format"], "other", "a safetensors file, but not a some kind"),
        (["__metadata__", "format_version"], "0", "version '0' is not a number from 1"),
        (["__metadata__", "format_version"], "-1", "version '-1' is not a number from 1"),
        (["__metadata__", "format_version"], "²", "version '²' is not a number from 1"),
        (["__metadata__", "format_version"], "1" * 10, "is not a number from 1"),
        (["__metadata__", "format_version"], "1" * 9, "format 111111111 is newer than 1, the new"),
        (["__metadata__", "format_version"], "2", "format 2 is newer than 1"),
        (["__metadata__", "note"], "e", "its content does not have the digest in its header"),
        (["__metadata__", "content_digest"], None, "its content does not have the digest"),
    ],
)
def test_a_header_that_disagrees_is_refused(tmp_path, path, value, sentence):
    header, numbers = written(tmp_path / "it")
    np.testing.assert_equal(read(header, numbers), ARRAYS)
    with pytest.raises(DataError, match=sentence):
        read(changed(header, path, value), numbers)


@pytest.mark.parametrize(
    ("path", "value", "quoted"),
    [
        (["a", "dtype"], "x" * 100, f"a is of type '{'x' * 20}', where float32 or float64 is"),
        (["a", "shape"], [10**18] * 8, f"the shape {str([10**18] * 8)[:60]}, where [3] fits"),
        (["__metadata__", "format_version"], "9" * 100, f"the format version '{'9' * 20}' is not"),
        (["c" * 100], {}, f"holds the arrays 'a', 'b', '{'c' * 40}', where 'a', 'b' are expected"),
    ],
)
def test_what_a_message_quotes_of_a_file_is_cut(tmp_path, path, value, quoted):
    header, numbers = written(tmp_path / "it")
    with pytest.raises(DataError) as caught:
        read(changed(header, path, value), numbers)
    assert quoted in str(caught.value)


def test_of_many_arrays_a_message_names_eight(tmp_path):
    header, numbers = written(tmp_path / "it")
    more = {f"c{i}": {} for i in range(9)}
    named = "'a', 'b', 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', where 'a', 'b' are expected"
    with pytest.raises(DataError, match=f"it: holds the arrays {named}"):
        read(header | more, numbers)
    with pytest.raises(DataError, match="it: holds the arrays none, where 'a', 'b' are expected"):
        read({"__metadata__": header["__metadata__"]}, numbers)


@pytest.mark.parametrize("cut", [slice(0, -1), slice(0, 28 - 16)], ids=["a byte", "an array"])
def test_a_file_that_is_cut_short_is_refused(tmp_path, cut):
    header, numbers = written(tmp_path / "it")
    with pytest.raises(DataError, match=r"it: has \d+ bytes, where its header declares \d+; copy"):
        read(header, numbers[cut])
    with pytest.raises(DataError, match=r"has \d+ bytes, where its header declares \d+"):
        read(header, numbers + b"1")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x02\0\0\0\0\0\0",  # seven bytes
        b"\x02\0\0\0\0\0\0\0{",  # shorter than it says
        b"\x01\0\0\0\0\0\0\0{}",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{]",
        b"\x0d\0\0\0\0\0\0\0" + b'{"a":1,"a":1}',  # readers differ about which one counts
        b"\x02\0\0\0\0\0\0\0\xff\xff",
        (2**20 + 1).to_bytes(8, "little") + b"{}" + b" " * 2**20,
        (50_000).to_bytes(8, "little") + b"[" * 50_000,
    ],
)
def test_what_is_no_header_is_refused(content):
    with pytest.raises(DataError, match="it: not a whole safetensors file; copy it again"):
        tensor_file.read(
            io.BytesIO(content), len(content), "it", "some-kind", 1, lambda texts: EXPECTED
        )


@pytest.mark.parametrize(
    ("expected", "sentence"),
    [
        (Expected((3,), least=1.0, most=3.0), ""),
        (Expected((3,), most=2.5), "a holds numbers beyond 2.5, which are impossible there"),
        (Expected((3,), least=1.5), "a holds numbers beyond 1.5, which are impossible there"),
        (Expected((3,), ("float64",)), "a is of type 'F32', where float64 is expected"),
    ],
)
def test_numbers_that_cannot_be_there_are_refused(tmp_path, expected, sentence):
    tensor_file.write(tmp_path / "it", "some-kind", 1, {}, {"a": ARRAYS["a"]})
    read_it = tensor_file.read_file, (tmp_path / "it", "some-kind", 1, lambda _: {"a": expected})
    if sentence:
        with pytest.raises(DataError, match=sentence):
            read_it[0](*read_it[1])
    else:
        np.testing.assert_equal(read_it[0](*read_it[1])[1], {"a": ARRAYS["a"]})


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_unless_they_may_be_there(tmp_path, number):
    arrays = {"a": np.array([1.0, number])}
    tensor_file.write(tmp_path / "it", "some-kind", 1, {}, arrays)
    with pytest.raises(DataError, match="a holds numbers that are not finite; train it again"):
        tensor_file.read_file(tmp_path / "it", "some-kind", 1, lambda _: {"a": Expected((2,))})
    allowed = {"a": Expected((2,), finite=False)}
    found = tensor_file.read_file(tmp_path / "it", "some-kind", 1, lambda _: allowed)[1]
    np.testing.assert_equal(found, arrays)


class Shrinking(io.BytesIO):
    """A file of which another process cuts off the end after the digest was computed."""

    def readinto(self, buffer):
        return super().readinto(buffer[:-1])


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(tmp_path):
    written(tmp_path / "it")
    content = (tmp_path / "it").read_bytes()
    with pytest.raises(DataError, match="it: became shorter while it was read; try again"):
        tensor_file.read(
            Shrinking(content), len(content), "it", "some-kind", 1, lambda texts: EXPECTED
        )
