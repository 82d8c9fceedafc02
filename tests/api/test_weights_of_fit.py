"""Weights of images and classes, from `fit` and from the command line."""

import numpy as np
import pytest
from helpers import runs

import mnistgpu
from mnistgpu.errors import Note
from mnistgpu.models import model

SMALL = {"layers": "784-12-10", "init": "he", "epochs": 2, "batch_size": 50, "alpha": 0.1}


def test_weights_of_classes_are_those_of_their_images(arrays):
    images, labels = arrays
    of_class = {0: 3.0, 7: 0.5}
    weights = np.array([of_class.get(label, 1.0) for label in labels])
    by_image = mnistgpu.fit(images, labels, sample_weight=weights, **SMALL)
    by_class = mnistgpu.fit(images, labels, class_weight=of_class, **SMALL)
    by_text = mnistgpu.fit(images, labels, class_weight="0:3,7:.5", **SMALL)
    assert by_image.digest == by_class.digest == by_text.digest
    assert by_class.settings.class_weight == "0:3.0,7:0.5"
    losses = [[row.validation_loss for row in run.history] for run in (by_image, by_class)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    plain = mnistgpu.fit(images, labels, **SMALL)
    assert plain.digest != by_image.digest
    assert plain.history[-1].validation_loss != losses[0][-1]
    ones = mnistgpu.fit(images, labels, sample_weight=np.ones(900, int), **SMALL)
    assert ones.digest == plain.digest
    assert plain.settings.class_weight == "none"


def test_the_validation_loss_is_the_weighted_mean_of_its_images(arrays):
    images, labels = arrays
    held_out = images[800:], labels[800:]
    run = mnistgpu.fit(
        images[:800], labels[:800], validation=held_out, class_weight="balanced", **SMALL
    )
    counts = np.bincount(labels[:800], minlength=10)
    weights = (800 / (10 * counts))[held_out[1]]
    believed = run.model.predict_proba(held_out[0])
    losses = -np.log(believed[np.arange(100), held_out[1]])
    expected = np.average(losses, weights=weights)
    assert run.history[-1].validation_loss == pytest.approx(expected, rel=1e-5)
    right = np.mean(believed.argmax(axis=1) == held_out[1])
    assert run.history[-1].validation_accuracy == pytest.approx(right)


@pytest.mark.parametrize("class_weight", ["none", "balanced", "7:2"])
def test_the_scale_of_weights_means_nothing(arrays, class_weight):
    """A float32 could hold neither these weights nor their sums."""
    weights = 1.0 + arrays[1]
    how = SMALL | {"class_weight": class_weight}
    expected = mnistgpu.fit(*arrays, sample_weight=weights, **how)
    for scale in (2.0**-300, 2.0**1018):
        found = mnistgpu.fit(*arrays, sample_weight=scale * weights, **how)
        assert found.digest == expected.digest
        losses = [[row.validation_loss for row in run.history] for run in (found, expected)]
        np.testing.assert_array_equal(*losses)


def test_sweep_and_lr_find_take_weights_of_images(arrays, tmp_path):
    """Those of class_weight, written for each image."""
    weights = np.where(arrays[1] == 7, 20.0, 1.0)
    search = {"steps": 30, "layers": "784-12-10", "init": "he", "batch_size": 50}
    by_image = mnistgpu.lr_find(*arrays, sample_weight=weights, **search)
    assert by_image == mnistgpu.lr_find(*arrays, class_weight={7: 20}, **search)
    assert by_image != mnistgpu.lr_find(*arrays, **search)
    how = SMALL | {"epochs": 1, "alpha": [0.1, 0.2]}
    runs = mnistgpu.sweep(*arrays, out=tmp_path / "s", sample_weight=weights, **how)
    expected = mnistgpu.fit(*arrays, class_weight={7: 20}, **SMALL | {"epochs": 1, "alpha": 0.2})
    assert runs[1].digest == expected.digest


def test_images_of_weight_zero_are_left_out_and_said(arrays):
    images, labels = arrays
    weights = np.where(np.arange(900) < 100, 0.0, 1.0)
    with pytest.warns(Note, match="sample_weight: 100 images of weight 0 are left out"):
        without = mnistgpu.fit(images, labels, sample_weight=weights, **SMALL)
    assert without.digest == mnistgpu.fit(images[100:], labels[100:], **SMALL).digest


def test_a_stopped_run_goes_on_with_its_weights_alone(arrays, tmp_path):
    images, labels = arrays
    weights = 1.0 + labels
    how = SMALL | {"epochs": 4}
    whole = mnistgpu.fit(images, labels, sample_weight=weights, **how)
    mnistgpu.fit(images, labels, sample_weight=weights, out=tmp_path / "a", **SMALL)
    with pytest.raises(mnistgpu.DataError, match=r"not the data that .* with their sample_weight"):
        mnistgpu.resume(tmp_path / "a", images, labels, epochs=4, out=tmp_path / "b")
    run = mnistgpu.resume(
        tmp_path / "a", images, labels, sample_weight=weights, epochs=4, out=tmp_path / "b"
    )
    assert run.digest == whole.digest


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (np.ones(3), r"shape \(900,\), a weight for each training image, not \(3,\)"),
        (np.ones((900, 1)), r"not \(900, 1\)"),
        (np.full(900, np.nan), "the weight of image 0 is nan"),
        (np.where(np.arange(900) == 5, -1.0, 1.0), "the weight of image 5 is -1"),
        (np.zeros(900), "all weights are 0"),
        (["much"] * 900, "sample_weight: must be numbers"),
        (np.where(np.arange(900) == 5, 1e31, 1.0), r"reach from 1 to 1e\+31; the largest may be"),
    ],
)
def test_wrong_weights_are_refused(arrays, weights, says):
    with pytest.raises(ValueError, match=says) as error:
        mnistgpu.fit(*arrays, sample_weight=weights, **SMALL)
    assert isinstance(error.value, mnistgpu.MnistGpuError)


@pytest.mark.parametrize(
    "text", ["", "0:", "0:-1", "0:0", "0:inf", "0:nan", "0:1,0:2", "balance", "0=1", ":3", "0:1,"]
)
def test_a_text_that_is_no_weights_is_refused(text):
    with pytest.raises(mnistgpu.UsageError, match="--class-weight must be none, balanced, or"):
        mnistgpu.Settings(class_weight=text)


def test_an_unknown_class_and_exact_steps_are_refused(arrays):
    with pytest.raises(mnistgpu.UsageError, match=r"names the class '12', but the classes of .* 9"):
        mnistgpu.fit(*arrays, class_weight="12:2", **SMALL)
    names = np.array([f"n{label}" for label in arrays[1]])
    with pytest.raises(mnistgpu.UsageError, match=r"names the class '7', but .* n0, n1"):
        mnistgpu.fit(arrays[0], names, class_weight="7:2", **SMALL)
    for more in ({"class_weight": "balanced"}, {"sample_weight": np.ones(900)}):
        with pytest.raises(mnistgpu.UsageError, match="--precision exact has no weights"):
            mnistgpu.fit(*arrays, precision="exact", **more, **SMALL)


@pytest.mark.slow
def test_the_command_line_has_them(small_set, tmp_path):
    flags = "--layers 784-12-10 --init he --epochs 2 --batch-size 50 --alpha 0.1"
    done = runs.run(
        "--data", small_set, *flags.split(), "--class-weight", "0:3,7:2", "--out", tmp_path / "a"
    )
    assert done.returncode == 0, done.stderr
    run = mnistgpu.fit(small_set, class_weight={"0": 3, "7": 2}, **SMALL)
    assert model.load(tmp_path / "a").digest == run.digest
    done = runs.run("--data", small_set, "--class-weight", "0:3,x:2", "--out", tmp_path / "b")
    assert done.returncode == 2
    assert "names the class 'x'" in done.stderr
    assert not (tmp_path / "b").exists()
