"""The same digits in every layout that people use: read back the same, and said what was done."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from helpers.layouts import ARRAYS, IDX, IMAGES, TEST, TRAIN
from helpers.table_layouts import TABLES
from PIL import Image

from mnistgpu import data
from mnistgpu.errors import DataError

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


def of_pictures(folder, *images):
    """A parquet file with a column of these pictures and one of labels."""
    pytest.importorskip("pyarrow", reason="pyarrow is missing")
    cells = []
    for image in images:
        content = io.BytesIO()
        image.save(content, "PNG")
        cells.append({"bytes": content.getvalue()})
    made = pd.DataFrame({"image": cells, "label": np.arange(len(cells))})
    made.to_parquet(folder / "d.parquet")
    return folder / "d.parquet"


def test_pictures_in_parquet(tmp_path):
    """In colours they become grey, and it is said; of several sizes or kinds they are refused."""
    grey = Image.fromarray(IMAGES[0])
    found = data.load(of_pictures(tmp_path, grey.convert("RGB"), grey)).train
    np.testing.assert_array_equal(found.images, [IMAGES[0].ravel()] * 2)
    assert "colours are converted to grey" in found.notes[0]
    large = data.load(of_pictures(tmp_path, grey.resize((128, 128)))).train
    assert large.image_shape == (128, 128)
    for images, said in (
        (
            [grey, grey.resize((28, 14))],
            "row 1: a picture of 14x28, but the first has 28x28",
        ),
        ([grey, grey.resize((128, 129))], "row 1: the cell image is no small picture .*too large"),
        ([grey, grey.resize((129, 128))], "row 1: the cell image is no small picture .*too large"),
        ([grey, grey.convert("I;16")], "row 1: the cell image is no small picture .*not 8 bits"),
        ([Image.new("L", (128, 128))] * 1500, "more than the limit of 16,777,216"),
    ):
        with pytest.raises(DataError, match=said):
            data.load(of_pictures(tmp_path, *images))
