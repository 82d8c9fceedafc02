"""ONNX files, by onnx's own checker and by onnxruntime: the answers are those of Python."""

import json

import numpy as np
import pytest
from helpers.mnist import read_idx
from helpers.networks import committee, made

import mnistgpu
from mnistgpu.data.levels import Levels
from mnistgpu.interop import onnx_file
from mnistgpu.maths.activations import ACTIVATIONS

onnx = pytest.importorskip("onnx", reason="onnx is missing: pip install 'mnistgpu[onnx]'")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is missing")


@pytest.fixture(scope="module")
def images():
    """MNIST's 10,000 test images."""
    return read_idx("t10k-images-idx3-ubyte", 10_000).reshape(-1, 28, 28)


def exported(model, path, **options):
    """The session of an exported file, and the model as onnx reads it."""
    mnistgpu.export(model, path, **options)
    found = onnx.load(path)
    onnx.checker.check_model(found, full_check=True)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"]), found


def check_equal(session, model, images, given=None):
    labels, shares = session.run(None, {"images": images if given is None else given})
    expected = mnistgpu.Model(model)
    wanted = expected.predict_proba(images)
    assert shares.dtype == np.float32
    assert np.abs(shares - wanted).max() <= 1e-5
    assert np.array_equal(labels, expected.predict(images))
    assert len(set(labels.tolist())) >= 3  # a network that always says the same proves nothing


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_answers_as_in_python(images, tmp_path, activation):
    model = made(activation)
    session, _ = exported(model, tmp_path / "model.onnx")
    check_equal(session, model, images)


@pytest.mark.parametrize("precision", ["float64", "exact"])
def test_networks_of_float64(images, tmp_path, precision):
    model = made("gelu", precision=precision)
    session, _ = exported(model, tmp_path / "model.onnx")
    check_equal(session, model, images)


def test_a_committee_answers_with_the_mean(images, tmp_path):
    model = committee()
    session, found = exported(model, tmp_path / "model.onnx")
    check_equal(session, model, images)
    assert {"member1_W1", "member3_b1"} <= {each.name for each in found.graph.initializer}


def test_floats_from_0_to_1(images, tmp_path):
    model = made()
    session, found = exported(model, tmp_path / "model.onnx", input="float")
    floats = (images / 255).astype(np.float32)
    check_equal(session, model, images, floats)
    check_equal(session, model, images, floats + np.float32(0.0015))  # rounded, as Python does
    assert "0 is paper and 1 is ink" in found.graph.doc_string


@pytest.mark.filterwarnings("ignore:X. grey levels are read as")
@pytest.mark.parametrize(
    ("levels", "kind", "change"),
    [
        (Levels(255, 0), "uint8", lambda X: 255 - X),
        (Levels(255, 0), "float", lambda X: (255 - X) / 255),
        (Levels(0, 16), "uint8", lambda X: np.round(X / 255 * 16)),
        (Levels(0, 0.4), "float", lambda X: X / 255 * 0.4),
    ],
)
def test_the_grey_levels_of_the_training_are_inside(images, tmp_path, levels, kind, change):
    model = made(levels=levels)
    session, _ = exported(model, tmp_path / "model.onnx", input=kind)
    given = change(images.astype(np.float64)).astype("uint8" if kind == "uint8" else "float32")
    labels, shares = session.run(None, {"images": given})
    expected = mnistgpu.Model(model)
    assert np.abs(shares - expected.predict_proba(given)).max() <= 1e-5
    assert np.array_equal(labels, expected.predict(given))


def test_names_of_classes_are_answers(images, tmp_path):
    names = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
    model = made(classes=names)
    session, _ = exported(model, tmp_path / "model.onnx")
    labels, _ = session.run(None, {"images": images[:200]})
    assert labels.tolist() == mnistgpu.Model(model).predict(images[:200]).tolist()
    assert set(labels) <= set(names)


def test_any_number_of_images_and_what_the_file_says(images, tmp_path):
    session, found = exported(made(), tmp_path / "model.onnx")
    for count in (0, 1, 7):
        labels, shares = session.run(None, {"images": images[:count]})
        assert labels.shape == (count,)
        assert shares.shape == (count, 10)
    facts = {each.key: each.value for each in found.metadata_props}
    assert facts["input"] == "uint8: 0 is paper and 255 is ink"
    assert facts["data_digest"] == "ab" * 32
    assert json.loads(facts["classes"]) == list(range(10))
    assert facts["digest"] == made().digest
    assert found.producer_name == "mnistgpu"


def test_an_activation_without_a_form_is_refused(monkeypatch, tmp_path):
    monkeypatch.delitem(onnx_file.FORMS, "gelu")
    with pytest.raises(mnistgpu.UsageError, match=r"gelu: .onnx files have no form of it; export"):
        mnistgpu.export(made("gelu"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
