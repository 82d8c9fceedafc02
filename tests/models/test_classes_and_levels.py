"""Names of classes and grey levels of the training are saved with a network, and checked."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mnistgpu.data.levels import OURS, Levels
from mnistgpu.errors import DataError, UsageError
from mnistgpu.models import committee, model
from mnistgpu.storage import tensor_file

PLAIN = model.Model(np.zeros(6, np.float32), (2, 2), (1, 2))
NAMED = replace(PLAIN, classes=("yes", "no"), levels=Levels(16, 0))


def written(path, **texts):
    """A model file whose header has these texts in place of its own."""
    header = {
        "layers": "2-2",
        "activation": "relu",
        "image_shape": "1x2",
        "settings": "{}",
        "data_digest": "",
        **texts,
    }
    tensor_file.write(path, model.FORMAT, model.FORMAT_VERSION, header, {"theta": PLAIN.theta})
    return path


@pytest.mark.parametrize(
    "given",
    [
        NAMED,
        replace(PLAIN, classes=("ä", "漢")),
        replace(PLAIN, classes=(3, -700)),
        replace(PLAIN, levels=Levels(0, 1 / 255)),
        replace(PLAIN, levels=Levels(0, 65535)),
        PLAIN,
    ],
)
def test_they_come_back_as_they_were(tmp_path, given):
    model.save(given, tmp_path / "a.safetensors")
    found = model.load(tmp_path / "a.safetensors")
    assert found == given
    assert (found.classes, found.levels) == (given.classes, given.levels)


def test_a_network_without_them_is_saved_as_before(tmp_path):
    """Byte for byte, so that files that are older than classes and levels stay equal."""
    old = written(tmp_path / "old.safetensors")
    for plain in (PLAIN, replace(PLAIN, levels=Levels(0.0, 255.0))):
        model.save(plain, tmp_path / "new.safetensors")
        assert (tmp_path / "new.safetensors").read_bytes() == old.read_bytes()
    assert model.load(old).classes == ()
    assert model.load(old).levels == OURS


def test_models_with_other_names_or_levels_are_not_equal():
    assert replace(PLAIN, classes=("yes", "no")) != PLAIN
    assert replace(PLAIN, levels=Levels(255, 0)) != PLAIN


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("classes", json.dumps(["a"]), "its classes are not 2 different names"),
        ("classes", json.dumps(["a", "a"]), "its classes are not 2 different names"),
        ("classes", json.dumps(["a", 1]), "its classes are not 2 different names"),
        ("classes", json.dumps(["a", "b\x1b[2J"]), "characters that can be printed"),
        ("classes", "[", "its classes are not"),
        ("classes", "[" * 100_000, "its classes are not"),
        ("levels", json.dumps([0]), "its grey levels are not those of paper and ink"),
        ("levels", json.dumps([0, 0]), "its grey levels are not"),
        ("levels", json.dumps([0, 0.0]), "its grey levels are not"),
        ("levels", json.dumps([0, 65536]), "its grey levels are not"),
        ("levels", json.dumps([1, 2]), "its grey levels are not"),
        ("levels", json.dumps([0, 2**20]), "its grey levels are not"),
        ("levels", "[0, NaN]", "its grey levels are not"),
        ("levels", "[0, Infinity]", "its grey levels are not"),
        ("levels", json.dumps([0, True]), "its grey levels are not"),
        ("levels", json.dumps("12"), "its grey levels are not"),
        ("levels", "{", "its grey levels are not"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path, name, text, words):
    path = written(tmp_path / "a.safetensors", **{name: text})
    with pytest.raises(DataError) as error:
        model.load(path)
    assert words in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_committee_has_those_of_its_members():
    both = committee.Committee((NAMED, replace(NAMED, theta=NAMED.theta + 1)))
    assert (both.classes, both.levels) == (NAMED.classes, NAMED.levels)
    mixed = committee.Committee((NAMED, replace(NAMED, levels=OURS)))
    assert mixed.levels == OURS
    with pytest.raises(UsageError, match="model 2 knows the classes 0, 1, model 1 yes, no: they"):
        committee.Committee((NAMED, PLAIN))
