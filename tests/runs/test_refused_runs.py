"""What does not fit together is refused before a run begins, in one sentence with its figures."""

from dataclasses import replace

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs.checks import check_fit
from mnistgpu.settings import Settings

SETTINGS = Settings(layers="12-5-4", validation=10, batch_size=15)
IMAGES = np.arange(40 * 12, dtype=np.uint8).reshape(40, 12)
LABELS = (np.arange(40) % 4).astype(np.uint8)
TRAIN = data.Digits(IMAGES, LABELS, "mine, train", image_shape=(3, 4))
FEATURES = IMAGES.astype(np.float32)
OTHERS = data.Digits(IMAGES[:3], np.array([0, 4, 5]), "mine, test", image_shape=(3, 4))
FEW = replace(OTHERS, labels=LABELS[:3], source="mine, validation")


def dataset(train, test=None, validation=None):
    return data.Dataset(replace(TRAIN, **train), test, "mine", validation=validation)


@pytest.mark.parametrize(
    ("settings", "train"),
    [
        ({}, {}),
        ({"validation": 25}, {}),  # just one batch is left
        ({"validation": 39, "batch_size": 1}, {}),
        ({"validation": 0.25, "batch_size": 30}, {}),
        ({"layers": "12-5-9"}, {}),
        ({"batch_norm": True, "validation": 0, "batch_size": 16}, {}),  # halves of 8
        ({"center": True}, {"images": FEATURES}),
        ({}, {"images": np.zeros_like(IMAGES)}),  # nothing can be learnt, which a warning says
        ({"min_ink": 0.5}, {"images": np.eye(40, 12, dtype=np.uint8) + (LABELS[:, None] > 0)}),
        ({"layers": "12-5-4"}, {"classes": ("a", "b", "c", "d")}),
    ],
)
def test_what_fits_is_let_through(settings, train):
    check_fit(SETTINGS.changed(**settings), dataset(train))


def test_a_test_set_without_images_and_validation_images_are_let_through():
    none = replace(OTHERS, images=IMAGES[:0], labels=LABELS[:0])
    settings = SETTINGS.changed(validation=0, early_stopping=1)
    check_fit(settings, dataset({}, none, FEW))


@pytest.mark.parametrize(
    ("settings", "train", "sentence"),
    [
        (
            {"layers": "13-5-4"},
            {},
            "--layers begins with 13, but an image of mine has 3x4 = 12 pixels: begin it with 12",
        ),
        (
            {"layers": "12-5-3"},
            {"classes": ("a", "b", "c", "d")},
            "--layers ends with 3, but mine has 4 classes, a, b, c, d: end it with 4",
        ),
        (
            {"layers": "12-5-3"},
            {},
            "--layers ends with 3, but mine has the labels 0 to 3: end it with 10",
        ),
        (
            {"layers": "12-5-11"},
            {"labels": np.arange(40)},
            "--layers ends with 11, but mine has the labels 0 to 39: end it with 40",
        ),
        (
            {"validation": 40},
            {},
            "--validation 40 leaves nothing to train on: mine has 40 training images; hold out "
            "fewer, or none with --validation 0",
        ),
        (
            {"validation": 26},
            {},
            "--batch-size 15 is more than the 14 training images; leave it out for full batches",
        ),
        (
            {"precision": "exact", "class_weight": "0:2"},
            {},
            "--precision exact has no weights, whose products with other numbers would be rounded; "
            "leave out --class-weight and sample_weight, or choose another --precision",
        ),
        (
            {"precision": "exact"},
            {"weights": np.ones(40)},
            "--precision exact has no weights, whose products with other numbers would be rounded; "
            "leave out --class-weight and sample_weight, or choose another --precision",
        ),
        (
            {"min_ink": 0.75},
            {"images": (LABELS[:, None] > 0) * np.ones((1, 12), np.uint8)},
            "--min-ink 0.75 leaves no pixel: the one with ink most often has it in 75.0% of the "
            "images; give a smaller share, such as 0.05",
        ),
        (
            {"shift": 1.0},
            {"images": FEATURES},
            "rotation, scaling, shear, shift, mirror and elastic deform images, but X has features "
            "of type float; give grey levels from 0 to 255 as uint8, or leave them out",
        ),
        (
            {"precision": "exact"},
            {"images": FEATURES},
            "--precision exact needs whole grey levels, but X has features of type float; give "
            "grey levels from 0 to 255 as uint8, or choose another precision",
        ),
        (
            {"batch_norm": True, "validation": 0, "batch_size": 7},  # halves of 4 and 3, 4 and 1
            {},
            "--batch-norm needs at least 8 images at a time to know their mean and deviation, but "
            "of 40 images in batches of 7 some would be normalised by 1: try --batch-size 16, or "
            "leave it out",
        ),
        (
            {"batch_norm": True, "validation": 0, "batch_size": 13},  # 13, 13, 13 and 1
            {},
            "--batch-norm needs at least 8 images at a time to know their mean and deviation, but "
            "of 40 images in batches of 13 some would be normalised by 1: try --batch-size 16, or "
            "leave it out",
        ),
        (
            {"batch_norm": True, "validation": 33, "batch_size": None},
            {},
            "--batch-norm needs at least 8 images at a time to know their mean and deviation, but "
            "of 7 images in batches of 7 some would be normalised by 3: give more images, or "
            "leave it out",
        ),
        (
            {"validation": 0, "early_stopping": 2},
            {},
            "--early-stopping needs held-out images: give --validation too",
        ),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(settings, train, sentence):
    with pytest.raises(UsageError) as caught:
        check_fit(SETTINGS.changed(**settings), dataset(train))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (
            LABELS[:, None],
            "mine: labels must be integers of shape (40,), one for each image, not uint8 of shape "
            "(40, 1)",
        ),
        (
            LABELS[1:],
            "mine: labels must be integers of shape (40,), one for each image, not uint8 of shape "
            "(39,)",
        ),
        (
            LABELS / 1.0,
            "mine: labels must be integers of shape (40,), one for each image, not float64 of "
            "shape (40,)",
        ),
        (
            np.where(np.arange(40) == 7, -2, 1),
            "mine: label -2 of image 7 is negative; labels are 0, 1, 2, ...",
        ),
    ],
)
def test_labels_made_by_hand_are_looked_at(labels, sentence):
    with pytest.raises(DataError) as caught:
        check_fit(SETTINGS, dataset({"labels": labels}))
    assert str(caught.value) == sentence


def test_labels_of_other_images_must_be_those_of_the_network():
    sentence = (
        "mine, test: label 5 of image 2 is none of the 4 classes of the network, 0 to 3; leave "
        "such images out"
    )
    with pytest.raises(DataError) as caught:
        check_fit(SETTINGS, dataset({}, OTHERS))
    assert str(caught.value) == sentence
    with pytest.raises(DataError) as caught:
        check_fit(SETTINGS.changed(validation=0), dataset({}, None, OTHERS))
    assert str(caught.value) == sentence


def test_images_are_held_out_in_one_way_alone():
    with pytest.raises(UsageError) as caught:
        check_fit(SETTINGS, dataset({}, None, FEW))
    assert str(caught.value) == (
        "--validation 10 holds out training images, but validation images are given; leave one of "
        "the two out"
    )
