"""npz and JSON files: a reader with nothing but the file gets the answers of Python."""

import json

import numpy as np
import pytest
from helpers.mnist import read_idx
from helpers.networks import committee, made

import mnistgpu
from mnistgpu.data.levels import Levels


@pytest.fixture(scope="module")
def images():
    return read_idx("t10k-images-idx3-ubyte", 500)


def answers(layers, images):
    """A network of ReLU, by NumPy alone: layers [(W, b), ...]."""
    A = images / 255
    for number, (W, b) in enumerate(layers):
        if number:
            A = np.maximum(A, 0)
        A = A @ np.asarray(W).T + np.asarray(b)
    E = np.exp(A - A.max(axis=1, keepdims=True))
    return E / E.sum(axis=1, keepdims=True)


def test_npz(images, tmp_path):
    model = made(classes=tuple("abcdefghij"))
    mnistgpu.export(model, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        layers = [(file[f"W{i}"], file[f"b{i}"]) for i in (1, 2, 3)]
        assert str(file["activation"]) == "relu"
        assert file["classes"].tolist() == list("abcdefghij")
        assert json.loads(str(file["metadata"]))["data_digest"] == "ab" * 32
    assert layers[0][0].dtype == np.float32
    expected = mnistgpu.Model(model).predict_proba(images)
    assert np.abs(answers(layers, images) - expected).max() <= 1e-5


def test_npz_of_a_committee(tmp_path):
    together = committee()
    mnistgpu.export(together, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        for number, member in enumerate(together.members, 1):
            assert str(file[f"member{number}_activation"]) == member.activation
            assert np.array_equal(file[f"member{number}_W1"], member.layers[0][0])
        assert file["paper_and_ink"].tolist() == [0, 255]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_json_keeps_every_bit(images, tmp_path, precision):
    model = made(precision=precision, levels=Levels(255, 0))
    mnistgpu.export(model, tmp_path / "model.json")
    record = json.loads((tmp_path / "model.json").read_text())
    assert (record["paper"], record["ink"], record["image_shape"]) == (255, 0, [28, 28])
    (member,) = record["members"]
    for own, (W, b) in zip(member["layers"], model.layers, strict=True):
        assert np.array_equal(np.array(own["weights"], dtype=model.theta.dtype), W)
        assert np.array_equal(np.array(own["bias"], dtype=model.theta.dtype), b[:, 0])
    layers = [(own["weights"], own["bias"]) for own in member["layers"]]
    expected = mnistgpu.Model(model).predict_proba(255 - images)
    assert np.abs(answers(layers, images) - expected).max() <= 1e-5
