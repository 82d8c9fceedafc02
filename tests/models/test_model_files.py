"""A model file that contradicts itself is refused, and one that does not keeps everything."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mnistgpu import network
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
