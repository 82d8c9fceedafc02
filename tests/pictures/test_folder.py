"""A folder of pictures is read as digits: which are there, of which class, and what is left out."""

import contextlib
import dataclasses
import os

import numpy as np
import pytest
from helpers.picture_folders import save, write_classes, write_drawings, write_flat
from PIL import Image

import mnistgpu
from mnistgpu.api import reading
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.errors import DataError, Note
from mnistgpu.pictures import folder as folders
from mnistgpu.pictures import folder_contents
from mnistgpu.runs import counting

hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is missing")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

LETTERS = tuple("abcdefghij")
SAME_PART = ("train", "training")


@pytest.fixture
def some(digits):
    """130 digits in the order of their labels, which is that of the names of their folders."""
    images, labels = digits
    order = np.argsort(labels[:130], kind="stable")
    return images[:130][order], labels[:130][order]


def test_a_folder_for_each_class(tmp_path, some):
    images, labels = some
    write_classes(tmp_path, images, labels)
    found = mnistgpu.load_data(tmp_path)
    np.testing.assert_array_equal(found.train.images, images)
    np.testing.assert_array_equal(found.train.labels, labels)
    assert (found.train.classes, found.train.levels) == ((), OURS)
    assert (found.test, found.path) == (None, str(tmp_path))
    assert found.train.notes == (
        f"{tmp_path}: 130 pictures are read as they are, since they are small and of one size, "
        "28x28",
    )


def test_the_class_before_each_name(tmp_path, some):
    images, labels = some
    found = mnistgpu.load_data(write_flat(tmp_path / "it", images, labels)).train
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, labels)


def test_names_that_are_no_numbers_are_classes(tmp_path, some):
    images, labels = some
    write_classes(tmp_path, images, [LETTERS[label] for label in labels])
    found = mnistgpu.load_data(tmp_path).train
    assert found.classes == LETTERS
    np.testing.assert_array_equal(found.labels, labels)


def test_parts_have_folders_of_their_own(tmp_path, some):
    """Also in the one folder of an archive, in capitals, and with a class missing in the test."""
    images, labels = some
    top = tmp_path / "archive"
    write_classes(top / "Train", images, labels)
    write_classes(top / "TEST", images[40:], labels[40:])
    write_classes(top / "val", images[:20], labels[:20])
    found = mnistgpu.load_data(tmp_path)
    assert [len(each) for each in (found.train, found.test, found.validation)] == [130, 90, 20]
    np.testing.assert_array_equal(found.test.labels, labels[40:])
    np.testing.assert_array_equal(reading.load_digits(tmp_path).images, images[40:])


def test_a_class_of_the_test_that_is_not_trained_on_is_named(tmp_path, some):
    images, labels = some
    write_classes(tmp_path / "train", images, [LETTERS[label] for label in labels])
    write_classes(tmp_path / "test", images[:2], ["a", "q"])
    with pytest.raises(DataError, match=r"label 'q' of image 1 is none of the classes, a, b, c"):
        mnistgpu.load_data(tmp_path)


def test_white_paper_is_recognised_in_small_pictures(tmp_path, some):
    images, labels = some
    write_classes(tmp_path, 255 - images, labels)
    found = mnistgpu.load_data(tmp_path).train
    np.testing.assert_array_equal(found.images, images)
    assert found.levels == (255, 0)


def test_few_pictures_of_white_paper_are_prepared(tmp_path, some):
    """Nobody can tell from so few which side is paper; a network must not learn them inverted."""
    images, labels = some
    write_classes(tmp_path / "white", 255 - images[::4], labels[::4])
    write_classes(tmp_path / "black", images[::4], labels[::4])
    white, black = (mnistgpu.load_data(tmp_path / name).train for name in ("white", "black"))
    np.testing.assert_array_equal(black.images, images[::4])
    assert np.abs(white.images.astype(int) - images[::4]).max() <= 1
    assert "33 pictures are prepared like photographs" in white.notes[0]
    assert "33 pictures are read as they are" in black.notes[0]


def test_pictures_with_the_other_side_bright_are_prepared_for_a_network(tmp_path, some):
    """As each of them is if it is given alone, and not answered inverted."""
    images, labels = some
    write_classes(tmp_path, 255 - images, labels)
    shipped = mnistgpu.load("shipped")
    found = reading.load_digits(tmp_path, shipped.trained)
    assert "prepared like photographs" in found.notes[0]
    with pytest.warns(Note, match="130 pictures are prepared like photographs"):
        assert shipped.evaluate(tmp_path).accuracy > 0.97
    paths = folders.pictures_below(tmp_path)
    assert not folders.are_read_as_they_are(paths, shipped.trained)
    white = dataclasses.replace(shipped.trained, levels=Levels(255, 0))
    assert folders.are_read_as_they_are(paths, white)


def test_a_bad_picture_is_named_left_out_and_counted(tmp_path, some):
    images, labels = some
    paths = write_classes(tmp_path, images, labels)
    paths[3].write_bytes(b"no picture")
    paths[70].write_bytes(paths[70].read_bytes()[:60])
    save(np.zeros((40, 50), np.uint8), paths[90])
    (tmp_path / "0" / "notes.txt").write_text("mine")
    found = mnistgpu.load_data(tmp_path).train
    kept = [i for i in range(130) if i not in (3, 70, 90)]
    np.testing.assert_array_equal(found.images, images[kept])
    np.testing.assert_array_equal(found.labels, labels[kept])
    first, *named, last = found.notes
    assert first.startswith(f"{tmp_path}: 127 pictures are read as they are")
    for note, number in zip(named, (3, 70, 90), strict=True):
        assert note.startswith(f"left out: {paths[number]}: ")
    assert "50x40 pixels, but the other pictures have 28x28 pixels" in named[2]
    assert last == f"{tmp_path}: 3 of 130 pictures are left out"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_what_is_no_file_is_left_out_like_a_bad_picture(tmp_path, some):
    paths = write_classes(tmp_path, *some)
    link, pipe = paths[0].parent / "zz.png", paths[0].parent / "zzz.png"
    link.symlink_to("nothing")
    os.mkfifo(pipe)
    found = mnistgpu.load_data(tmp_path).train
    assert len(found) == 130
    left_out = [note for note in found.notes if note.startswith("left out: ")]
    assert [str(link) in left_out[0], str(pipe) in left_out[1], len(left_out)] == [True, True, 2]


def test_many_bad_pictures_are_counted_but_not_all_named(tmp_path, some):
    images, labels = some
    paths = write_classes(tmp_path, images, labels)
    for path in paths[60:125]:
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no picture of class \d can be read: .*\.png: "):
        mnistgpu.load_data(tmp_path)
    kept = {path.parent.name: path for path in paths}  # the last of each class
    for name, path in kept.items():
        save(images[list(labels).index(int(name))], path)
    notes = mnistgpu.load_data(tmp_path).train.notes
    assert sum(note.startswith("left out: ") for note in notes) == folders.MOST_NAMED
    assert "pictures are left out" in notes[-1]


def test_large_pictures_are_prepared_like_photographs(tmp_path):
    write_drawings(tmp_path, 2)
    found = mnistgpu.load_data(tmp_path).train
    assert found.image_shape == (28, 28)
    assert found.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    assert "20 pictures are prepared like photographs" in found.notes[0]
    answers = mnistgpu.load("shipped").predict(found.images)
    assert (answers == found.labels).mean() >= 0.9
    assert found.levels == OURS  # though its pictures are black on white


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda top, image: save(image, top / "photo.png"),
            "has pictures of no class, such as pho",
        ),
        (
            lambda top, image: write_classes(top / "test", [image], ["7"]),
            "holds a folder test, but none that is called train",
        ),
        (
            lambda top, image: write_classes(top / "val", [image], ["7"]),
            "holds a folder validation, but none that is called train",
        ),
        (
            lambda top, image: [write_classes(top / part, [image], ["7"]) for part in SAME_PART],
            "train and training are both for train; keep one of them",
        ),
    ],
)
def test_what_cannot_be_trained_on_says_what_is_missing(tmp_path, some, make, message):
    make(tmp_path, some[0][0])
    with pytest.raises(DataError, match=message):
        mnistgpu.load_data(tmp_path)


def test_a_folder_with_another_format_is_not_one_of_pictures(tmp_path, some):
    save(some[0][0], tmp_path / "7_1.png")
    assert folder_contents.is_one(tmp_path)
    (tmp_path / "train.csv").touch()
    assert not folder_contents.is_one(tmp_path)
    assert not folder_contents.is_one(tmp_path / "7_1.png")
    (tmp_path / "deep" / "raw").mkdir(parents=True)
    (tmp_path / "train.csv").rename(tmp_path / "deep" / "raw" / "train-images-idx3-ubyte")
    assert not folder_contents.is_one(tmp_path)
    assert not folder_contents.is_one(tmp_path / "nowhere")


def test_hidden_files_are_not_seen(tmp_path, some):
    images, labels = some
    write_classes(tmp_path, images, labels)
    for name in (".DS_Store", ".hidden.png"):
        (tmp_path / "0" / name).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    save(images[0], tmp_path / "__MACOSX" / "7.png")
    assert len(mnistgpu.load_data(tmp_path).train) == 130


def test_a_network_of_another_size_gets_them_prepared(tmp_path, some):
    """32x32 pictures are not used as they are by a network of 28x28."""
    images, labels = some
    padded = np.pad(images.reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
    write_classes(tmp_path, padded[::10], labels[::10])
    found = reading.load_digits(tmp_path, mnistgpu.load("shipped").trained)
    assert found.image_shape == (28, 28)
    assert np.abs(found.images.astype(int) - images[::10]).max() <= 1
    np.testing.assert_array_equal(found.labels, labels[::10])


@settings(max_examples=40, deadline=1000, suppress_health_check=list(hypothesis.HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "7", "a", "train", "train/7", "test/7", "x/y/z"]),
            st.sampled_from(
                ["7_1.png", "1\u200b.jpg", "a-b.gif", "x.bmp", "_.webp", "n.heic", "it.txt"]
            ),
            st.binary(max_size=60) | st.integers(1, 70),
        ),
        max_size=6,
    )
)
def test_any_folder_is_read_or_refused_in_one_sentence(tmp_path_factory, given_files):
    top = tmp_path_factory.mktemp("any")
    for where, name, content in given_files:
        (top / where).mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (top / where / name).write_bytes(content)
        else:
            Image.new("L", (content, content), 255).save(top / where / name, "PNG")
    for read in (mnistgpu.load_data, reading.load_digits):
        found = None
        with contextlib.suppress(DataError):
            found = read(top)
        if found is None:
            continue
        digits = getattr(found, "train", found)
        assert digits.images.shape == (len(digits), digits.image_shape[0] * digits.image_shape[1])
        assert all(note.isprintable() for note in digits.notes)


def test_the_bar_is_shown_on_a_terminal_alone(monkeypatch, capsys):
    assert list(counting.counted([1, 2, 3], "reading")) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert list(counting.counted([1, 2, 3], "reading it")) == [1, 2, 3]
    output, errors = capsys.readouterr()
    assert output == ""
    assert "reading it" in errors
    assert list(counting.counted([1], "reading", bar=False)) == [1]
    assert capsys.readouterr() == ("", "")
