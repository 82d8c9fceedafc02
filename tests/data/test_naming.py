"""What names of files and arrays say, and how many of them a message names."""

import pytest

from mnistgpu.data.naming import listed, role_of


@pytest.mark.parametrize(
    ("name", "family", "part", "kind"),
    [
        ("train-images-idx3-ubyte", "", "train", "images"),
        ("emnist-letters-test-labels-idx1-ubyte", "emnist-letters", "test", "labels"),
        ("kmnist-val-imgs", "kmnist", "validation", "images"),
        ("trainLabels", "", "train", "labels"),
        ("xtest", "", "test", "images"),
        ("xval", "", "validation", "images"),
        ("y_tr", "", "train", "labels"),
        ("train_data_labels", "", "train", "labels"),  # of two kinds the last one
        ("train_images_for_validation", "for", "train", "images"),  # of two parts the first one
        ("train-00000-of-00001", "", "train", None),
        ("try", "try", None, None),  # and not the labels to train on
        ("tex", "tex", None, None),
    ],
)
def test_the_words_of_a_name_say_what_it_is(name, family, part, kind):
    assert role_of(name)[:3] == (family, part, kind)


@pytest.mark.parametrize(("count", "more"), [(1, 0), (5, 0), (6, 1), (10, 5), (1000, 995)])
def test_a_message_names_five_and_counts_the_others(count, more):
    shown = ", ".join(f"n{i}" for i in range(min(count, 5)))
    assert listed([f"n{i}" for i in range(count)]) == shown + (f" and {more} more" if more else "")


def test_of_a_name_its_end_is_kept():
    whole = "x" * 193 + "end.csv"
    assert listed([whole]) == whole
    assert listed(["y" + whole]) == "..." + whole[-197:]
