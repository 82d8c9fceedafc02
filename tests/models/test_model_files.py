"""A model file that contradicts itself is refused, and one that does not keeps everything."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from mnistgpu import network
from mnistgpu.api.exporting import FORMS
from mnistgpu.errors import DataError
from mnistgpu.models import model
from mnistgpu.models.model import Model
from mnistgpu.settings import Settings
from mnistgpu.storage import tensor_file

SETTINGS = Settings(layers="784-6-10", activation="tanh")


def a_model(**changes):
    """Trained, as it says, with SETTINGS."""
    theta = network.init(0, (784, 6, 10))
    fields = {"activation": "tanh", "settings": SETTINGS.as_dict(), "data_digest": "ab" * 32}
    return Model(theta, (784, 6, 10), **(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"activation": "relu"},
        {"settings": SETTINGS.changed(activation="relu").as_dict()},
        {"settings": SETTINGS.changed(layers="784-7-10").as_dict()},
    ],
    ids=["activation", "activation in the settings", "layers in the settings"],
)
def test_settings_of_another_network_are_refused(tmp_path, changes):
    """Else the weights would be used with an activation that they were not trained for."""
    path = tmp_path / "model.safetensors"
    model.save(a_model(), path)
    assert model.load(path).activation == "tanh"
    model.save(a_model(**changes), path)
    with pytest.raises(DataError, match="its settings belong to another network"):
        model.load(path)


def test_a_model_reads_back_as_it_was(tmp_path):
    path, shape = tmp_path / "model.safetensors", (56, 14)
    before = a_model(image_shape=shape)
    model.save(before, path)
    for after in (model.load(path), model.load(tmp_path), model.from_bytes(path.read_bytes(), "")):
        np.testing.assert_array_equal(after.theta, before.theta)
        assert after.theta.dtype == before.theta.dtype
        assert (after.sizes, after.image_shape) == ((784, 6, 10), shape)
        assert (after.activation, after.settings) == ("tanh", SETTINGS.as_dict())
        assert after.data_digest == "ab" * 32


def test_a_file_of_float16_takes_half_the_room_and_is_read_as_float32(tmp_path):
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    before = a_model()
    model.save(before, whole)
    model.save(replace(before, theta=before.theta.astype(np.float16)), half)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    after = model.load(half)
    assert after.theta.dtype == np.float32
    np.testing.assert_array_equal(after.theta, before.theta.astype(np.float16).astype(np.float32))
    assert (after.settings, after.data_digest) == (before.settings, before.data_digest)
    head = half.read_bytes()[8:4000]
    assert b'"format_version": "2"' in head  # 0.1.0 asks for an upgrade, and does not misread it
    assert b'"format_version": "1"' in whole.read_bytes()[8:4000]


def test_how_it_was_made_is_saved_where_it_was_not_one_run(tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(a_model(made="Two networks side by side."), path)
    assert model.load(path).made == "Two networks side by side."
    model.save(a_model(), path)
    assert model.load(path).made == ""
    assert b'"made"' not in path.read_bytes()


def test_a_checkpoint_holds_no_float16(tmp_path):
    """A run that goes on from rounded numbers would not have the same bits."""
    path = tmp_path / "a.safetensors"
    tensor_file.write(path, "kind", 1, {}, {"a": np.zeros(3, np.float16)})
    with pytest.raises(DataError, match="'F16', where float32 or float64 is expected"):
        tensor_file.read_file(path, "kind", 1, lambda texts: {"a": tensor_file.Expected((3,))})


def test_a_file_without_a_digest_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    model.save(a_model(), path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]["content_digest"]
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + length :])
    with pytest.raises(DataError, match="its content does not have the digest in its header"):
        model.load(path)


@pytest.mark.parametrize("name", [*(f"net{ending}" for ending in FORMS), "NET.ONNX"])
def test_what_export_wrote_is_not_called_a_torn_model(tmp_path, name):
    (tmp_path / name).write_bytes(b"{}" * 100)
    with pytest.raises(DataError, match="what `mnistgpu export` writes is not read back"):
        model.load(tmp_path / name)


def with_texts(path, changes):
    """A model file in which these texts are changed (None: taken out), under a correct digest."""
    before = a_model()
    model.save(before, path)

    def keep_texts(texts):
        kept.update(texts)
        return {"theta": tensor_file.Expected(before.theta.shape)}

    kept, arrays = {}, {"theta": before.theta}
    tensor_file.read_file(path, "mnistgpu-model", 99, keep_texts)
    texts = {name: text for name, text in (kept | changes).items() if text is not None}
    version = int(texts["format_version"])
    texts = {name: text for name, text in texts.items() if name not in tensor_file.OWN}
    tensor_file.write(path, "mnistgpu-model", version, texts, arrays)
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ""),
        ({"data_digest": ""}, ""),
        ({"settings": None}, "its header lacks 'settings'; copy it or train it again"),
        ({"layers": "784-6-1"}, "has one class, but needs two or more; train another model"),
        ({"layers": "784"}, "'784' is not a list of sizes; copy it or train it again"),
        ({"image_shape": "28x27"}, "layers '784-6-10' do not fit images of '28x27'"),
        ({"image_shape": "784"}, "'784' is not a list of sizes"),
        ({"image_shape": "7x7x16"}, "layers '784-6-10' do not fit images of '7x7x16'"),
        ({"activation": "magic"}, "unknown activation 'magic'; upgrade mnistgpu"),
        ({"data_digest": "ab" * 31}, "its data digest is not a SHA-256; copy it or train it"),
        ({"data_digest": "AB" * 32}, "its data digest is not a SHA-256"),
        ({"data_digest": "ab" * 32 + "\n"}, "its data digest is not a SHA-256"),
        ({"settings": "[]"}, "its settings are not a JSON object; copy it or train it again"),
        ({"layers": "784-06-10"}, "'784-06-10' is not a list of sizes"),
        ({"layers": f"784-{10**9}-10"}, "'784-1000000000-10' is not a list of sizes"),
        ({"layers": f"784-{10**9 - 1}-10"}, "its settings belong to another network"),
        ({"layers": "784" + "-6" * 98 + "-10"}, "its settings belong to another network"),
        ({"layers": "784" + "-6" * 100}, f"'784{'-6' * 28}-' is not a list of sizes"),  # it is cut
        ({"layers": "783-6" + "-10" * 60}, f"layers '783-6{'-10' * 18}-' do not fit images of"),
        ({"image_shape": "28x" + "1" * 30}, f"'28x{'1' * 30}' is not a list of sizes"),
        ({"image_shape": "1x784" + "x1" * 9}, f"do not fit images of '1x784{'x1' * 7}x'"),
        ({"activation": "m" * 60}, f"unknown activation '{'m' * 40}'; upgrade mnistgpu"),
    ],
)
def test_texts_that_fit_no_model_are_refused(tmp_path, changes, sentence):
    path = with_texts(tmp_path / "model.safetensors", changes)
    if not sentence:
        assert model.load(path).sizes == (784, 6, 10)
    else:
        with pytest.raises(DataError, match=re.escape(sentence)):
            model.load(path)


def test_models_are_equal_if_all_of_them_is():
    assert a_model() == a_model()
    assert a_model() != a_model(data_digest="cd" * 32)
    assert a_model() != a_model(activation="relu")
    other = a_model()
    other.theta[-1] += 1.0
    assert a_model() != other
    assert a_model() != "a model"
