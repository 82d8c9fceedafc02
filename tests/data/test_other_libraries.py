"""Arrays of JAX and polars, each in a process of its own: both start threads, which forks break."""

import importlib.util
import subprocess
import sys

import pytest

OF_JAX = """
import jax
import numpy as np

import mnistgpu
from mnistgpu.data.conversion import as_array

values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
for kind in ("bool", "uint8", "int32", "float16", "float32"):
    own = jax.numpy.asarray(values.astype(kind))
    found = as_array(own, "X")
    assert type(found) is np.ndarray
    assert found.dtype == kind
    assert np.array_equal(found, values.astype(kind))
    assert np.shares_memory(found, as_array(own, "X")), "it was copied"
assert np.array_equal(as_array([jax.numpy.asarray(each) for each in values], "X"), values)
short = as_array(jax.numpy.ones((2, 3), dtype=jax.numpy.bfloat16), "X")
assert (short.dtype, short.tolist()) == (np.float32, np.ones((2, 3)).tolist())

digits = mnistgpu.load_data().test
images, labels = digits.images[:200], digits.labels[:200]
model = mnistgpu.load("shipped")
expected = model.predict(images).tolist()
assert model.predict(jax.numpy.asarray(images)).tolist() == expected
assert model.predict(jax.numpy.asarray(images.reshape(-1, 1, 28, 28))).tolist() == expected
assert model.predict(jax.numpy.asarray(images[0])).tolist() == expected[:1]
found = model.evaluate(jax.numpy.asarray(images), jax.nn.one_hot(labels, 10))
assert found.accuracy == np.mean(np.array(expected) == labels)
"""
OF_POLARS = """
import numpy as np
import polars

import mnistgpu
from mnistgpu.data.conversion import as_array

digits = mnistgpu.load_data().test
images, labels = digits.images[:200], digits.labels[:200]
table = polars.DataFrame(images)
assert np.array_equal(as_array(table, "X"), images)
assert as_array(polars.Series(["b", "a"]), "y").tolist() == ["b", "a"]
assert as_array(polars.Series(["b", "a"], dtype=polars.Categorical), "y").tolist() == ["b", "a"]
assert as_array(polars.DataFrame({"label": [3, 1]}), "y").tolist() == [[3], [1]]
model = mnistgpu.load("shipped")
expected = model.predict(images).tolist()
assert model.predict(table).tolist() == expected
assert model.predict(table.cast(polars.Float32)).tolist() == expected
names = polars.Series([f"digit {label}" for label in labels])
run = mnistgpu.fit(table, names, layers="784-16-10", init="he", epochs=1, batch_size=20)
assert set(run.model.predict(table)) <= set(names)
assert run.model.evaluate(table, names).accuracy > 0.1
try:
    model.predict(table.with_columns(polars.lit(None).alias("column_3")))
except mnistgpu.DataError as error:
    assert "nan" in str(error) or "numbers" in str(error), error
else:
    raise AssertionError("a table with an empty column is answered")
"""


@pytest.mark.parametrize(("library", "script"), [("jax", OF_JAX), ("polars", OF_POLARS)])
def test_arrays_of_a_library_with_threads_of_its_own(library, script):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; the extra `arrays` has it")
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
