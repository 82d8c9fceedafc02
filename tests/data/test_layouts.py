"""The same digits in every layout that people use: read back the same, and said what was done."""

import re

import numpy as np
import pytest
from helpers.layouts import ARRAYS, IDX, TEST, TRAIN
from helpers.table_layouts import TABLES

from mnistgpu import data

LAYOUTS = {
    f"{kind}: {name}": layout
    for kind, layouts in (("IDX", IDX), ("arrays", ARRAYS), ("tables", TABLES))
    for name, layout in layouts.items()
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_same_digits(tmp_path, name):
    layout = LAYOUTS[name]
    if "parquet" in name:
        pytest.importorskip("pyarrow", reason="pyarrow is missing")
    found = data.load(layout.write(tmp_path))
    for digits, part in ((found.train, TRAIN), (found.test, TEST if layout.has_test else None)):
        if part is None:
            assert digits is None
            continue
        images = layout.images[part]
        expected = data.Digits(
            images.reshape(len(images), -1), layout.labels[part], "", images.shape[1:]
        )
        np.testing.assert_array_equal(digits.images, expected.images)
        np.testing.assert_array_equal(digits.labels, expected.labels)
        assert digits.digest == expected.digest
        assert digits.classes == layout.classes
    notes = "\n".join(found.train.notes)
    assert re.search(layout.said, notes), notes
    if not layout.said:
        assert found.train.notes == ()
