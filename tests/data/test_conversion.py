"""What people hold images and labels in: lists, tables, tensors, pictures; taken without a copy."""

import array
import importlib
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mnistgpu.backend import Backend
from mnistgpu.data.conversion import as_array, on_host
from mnistgpu.errors import BackendError, DataError

LEVELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def library(name):
    """A library that may be missing: its tests are skipped with the reason."""
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def of_strict(values):
    return library("array_api_strict").asarray(values)


def of_torch(values):
    return library("torch").from_numpy(np.array(values))


SIMPLE = {
    "numpy": lambda v: v,
    "array-api-strict": of_strict,
    "torch": of_torch,
    "list": lambda v: v.tolist(),
    "tuple of lists": lambda v: tuple(v.tolist()),
    "list of arrays": list,
    "list of read-only views": lambda v: [np.broadcast_to(each, each.shape) for each in v],
    "list of tensors": lambda v: [of_torch(each) for each in v],
    "list of pictures": lambda v: [Image.fromarray(each) for each in v],
    "objects": lambda v: v.astype(object),
    "array of arrays": lambda v: np.array([*v, None], dtype=object)[:-1],
    "memoryview": memoryview,
    "subclass": lambda v: v.view(type("Own", (np.ndarray,), {})),
}


@pytest.mark.parametrize("name", SIMPLE)
def test_images_in_any_container(name):
    found = as_array(SIMPLE[name](LEVELS), "X")
    assert type(found) is np.ndarray
    assert np.array_equal(found, LEVELS)


TABLES = {
    "pandas": pd.DataFrame,
    "pandas, named columns": lambda v: pd.DataFrame(v, columns=[f"pixel{i}" for i in range(12)]),
    "pandas, Int64": lambda v: pd.DataFrame(v).astype("Int64"),
    "pandas, objects": lambda v: pd.DataFrame(v).astype(object),
    "scipy": lambda v: library("scipy.sparse").csr_matrix(v),
    "matrix": lambda v: np.asmatrix(v),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_tables(name):
    rows = LEVELS.reshape(2, 12)
    found = as_array(TABLES[name](rows), "X")
    assert type(found) is np.ndarray
    assert np.array_equal(found, rows)
    # whole numbers stay so: of floats up to 11 nobody could tell the scale
    assert found.dtype == np.uint8 or name in ("pandas, Int64", "pandas, objects")


COLUMNS = {
    "pandas": lambda v: pd.Series(v),
    "pandas, categories": lambda v: pd.Series(v).astype("category"),
    "categories": pd.Categorical,
    "index": pd.Index,
    "pandas, one column": lambda v: pd.DataFrame({"label": v}),
    "list": list,
    "buffer": lambda v: v if isinstance(v[0], str) else array.array("q", v),
}


@pytest.mark.parametrize("labels", [[3, 1, 2], ["c", "a", "b"]])
@pytest.mark.parametrize("name", COLUMNS)
def test_labels_in_any_container(name, labels):
    if name == "buffer":
        found = as_array(memoryview(COLUMNS[name](labels)) if labels[0] == 3 else labels, "y")
    else:
        found = as_array(COLUMNS[name](labels), "y")
    assert found.ravel().tolist() == labels


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["torch", "array-api-strict"])
def test_arrays_of_other_libraries_are_not_copied(name, kind):
    if (name, kind) == ("array-api-strict", "float16"):
        pytest.skip("the standard has no float16")
    values = LEVELS.astype(kind)
    own = SIMPLE[name](values)
    found = as_array(own, "X")
    assert np.array_equal(found, values)
    assert found.dtype == kind
    again = as_array(own, "X")
    assert np.shares_memory(found, again)


def test_a_tensor_that_needs_a_gradient_or_has_a_type_of_its_own():
    torch = library("torch")
    needs = torch.ones(2, 3, requires_grad=True)
    assert np.array_equal(as_array(needs, "X"), np.ones((2, 3)))
    with pytest.raises(DataError, match=r"X: this Tensor cannot be read as an array .* to float32"):
        as_array(torch.ones(2, 3, dtype=torch.bfloat16), "X")
    with pytest.raises(DataError, match="X: this Tensor cannot be read"):
        as_array(torch.ones(2, 3).to_sparse(), "X")


def elsewhere(module, memory=2):
    """An array of a library whose memory is that of a GPU."""

    class Array:
        shape, dtype = (2, 784), np.float32

        def __dlpack_device__(self):
            return memory, 0

        def __dlpack__(self, **how):
            raise AssertionError("it is not copied unasked")

        __array__ = __dlpack__

    Array.__module__ = module
    return Array()


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("torch", "give X.cpu()"),
        ("jaxlib._jax", "give jax.device_get(X)"),
        ("cupy", "give cupy.asnumpy(X)"),
        ("another", "give a copy of it in the memory of the CPU"),
    ],
)
@pytest.mark.parametrize("memory", [2, 8, 10, 13])
def test_an_array_on_a_gpu_is_refused_with_the_call_that_copies_it(module, call, memory):
    for given in (elsewhere(module, memory), [elsewhere(module, memory)] * 2):
        with pytest.raises(BackendError) as error:
            as_array(given, "X")
        assert "lies in the memory of a GPU, but the network computes on numpy" in str(error.value)
        assert call in str(error.value).replace("X[0]", "X")


def test_a_tensor_without_memory_is_refused():
    meta = library("torch").ones(2, 3, device="meta")
    with pytest.raises((BackendError, DataError), match="X: "):
        as_array(meta, "X")


@pytest.mark.parametrize("memory", [2, 13])
def test_on_the_gpu_of_the_backend_it_stays_where_it_is(memory):
    """CuPy takes it by DLPack; stood in for by a namespace that says so."""

    class Namespace:
        ndarray = type("ndarray", (), {"shape": (28, 28)})

        @staticmethod
        def from_dlpack(given):
            return "taken", given

        @staticmethod
        def stack(given):
            return "stacked", given

    class Gpu(Backend):
        xp = Namespace

        def current(self):
            return io.StringIO()  # any context

    backend, tensor = Gpu("cupy", 0), elsewhere("torch", memory)
    assert as_array(tensor, "X", backend) == ("taken", tensor)
    own = Namespace.ndarray()
    assert as_array(own, "X", backend) is own
    assert as_array([own, own], "X", backend) == ("stacked", [own, own])
    assert np.array_equal(as_array(LEVELS, "X", backend), LEVELS)


def test_arrays_of_cupy_are_copied_for_a_set(monkeypatch):
    class Own:
        pass

    cupy = type("cupy", (), {"ndarray": Own, "asnumpy": staticmethod(lambda given: LEVELS)})
    monkeypatch.setitem(importlib.sys.modules, "cupy", cupy)
    assert on_host(Own(), "X") is LEVELS


PICTURES = {
    "L": (lambda: Image.fromarray(LEVELS[0]), LEVELS[0]),
    "1": (lambda: Image.fromarray(LEVELS[0] > 5), LEVELS[0] > 5),
    "I;16": (lambda: Image.fromarray(LEVELS[0].astype(np.uint16)), LEVELS[0]),
    "I": (lambda: Image.fromarray(LEVELS[0].astype(np.int32)), LEVELS[0]),
    "F": (lambda: Image.fromarray(LEVELS[0].astype(np.float32)), LEVELS[0]),
    "RGB": (lambda: Image.fromarray(LEVELS[0]).convert("RGB"), np.stack([LEVELS[0]] * 3, axis=2)),
    "P": (
        lambda: Image.fromarray(LEVELS[0]).convert("RGB").convert("P"),
        np.asarray(Image.fromarray(LEVELS[0]).convert("RGB").convert("P").convert("RGB")),
    ),
    "LA": (
        lambda: Image.fromarray(LEVELS[0]).convert("LA"),
        np.stack([*[LEVELS[0]] * 3, np.full_like(LEVELS[0], 255)], axis=2),
    ),
}


@pytest.mark.parametrize("mode", PICTURES)
def test_pictures_of_pillow(mode):
    make, expected = PICTURES[mode]
    assert make().mode == mode
    assert np.array_equal(as_array(make(), "X"), expected)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "not NoneType"),
        (3, "not int"),
        ({1: 2}, "not dict"),
        (iter([1]), "not list_iterator"),
        ("a.png", "not str; give a picture's path to model.read, and the path of a set to fit"),
        (b"abc", "not bytes"),
        ([[1, 2], [3]], "its lists are not of one length"),
        ([LEVELS[0], LEVELS[0][:2]], "images of the shapes (2, 4) and (3, 4) in one list"),
        ([LEVELS[0], None], "X[1]: must be an array"),
    ],
)
def test_what_is_no_array_is_refused(given, words):
    with pytest.raises(DataError) as error:
        as_array(given, "X")
    assert words in str(error.value)
    assert str(error.value).startswith("X")


@pytest.mark.parametrize("labels", [["a", None], [None, "a"], [LEVELS, None], [None, LEVELS], []])
def test_objects_that_are_no_numbers_stay_as_they_are(labels):
    given = np.empty(len(labels), object)
    given[:] = labels
    assert as_array(given, "y") is given


def test_an_array_that_holds_one_array_is_a_stack_of_it():
    given = np.empty(1, object)
    given[0] = LEVELS
    assert np.array_equal(as_array(given, "X"), LEVELS[None])


def test_labels_of_several_types_in_a_list_keep_them():
    assert as_array(["a", 7], "y").tolist() == ["a", 7]
    assert as_array([7, None], "y").tolist() == [7, None]
    assert as_array([True, 2.5], "y").tolist() == [1.0, 2.5]
    assert as_array([], "y").tolist() == []
    assert as_array([np.int64(3), np.int64(4)], "y").tolist() == [3, 4]
    assert as_array([np.str_("a"), np.str_("b")], "y").tolist() == ["a", "b"]
