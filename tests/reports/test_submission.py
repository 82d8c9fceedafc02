"""The form of a submission follows the competition's files, and only submissions are replaced."""

import numpy as np
import pytest

from mnistgpu.data import Digits
from mnistgpu.data.raw import Ids
from mnistgpu.errors import DataError, RunError, UsageError
from mnistgpu.reports import submission

THREE = np.zeros((3, 784), np.uint8)
KAGGLE = ("ImageId", "Label")


def images_of(*ids, name="id"):
    """Three images of a test.csv, with the ids that it has."""
    return Digits(THREE, None, "test.csv", ids=Ids(name, np.array(ids)) if ids else None)


@pytest.mark.parametrize(
    ("digits", "columns", "ids"),
    [
        (images_of(), KAGGLE, ("1", "2", "3")),
        (images_of(7, 0, 12), ("id", "label"), ("7", "0", "12")),
        (images_of("b", "01", "a", name="No"), ("No", "label"), ("b", "01", "a")),
        (images_of(4, 5, 6, name=""), ("id", "label"), ("4", "5", "6")),
    ],
)
def test_the_ids_are_those_of_the_images_or_their_numbers(tmp_path, digits, columns, ids):
    assert submission.form_of(tmp_path / "test.csv", digits) == (columns, ids)


@pytest.mark.parametrize("name", ["sample_submission.csv", "sampleSubmission.csv"])
@pytest.mark.parametrize("given", ["test.csv", ""], ids=["file", "folder"])
def test_a_sample_decides_the_form(tmp_path, name, given):
    (tmp_path / "a.csv").write_text("No,Letter\n1,A\n2,A\n3,A\n")
    (tmp_path / name).write_text("Image,Digit\n9,0\n8,0\n7,0\n")
    (tmp_path / "test.csv").touch()
    expected = ("Image", "Digit"), ("9", "8", "7")
    for digits in (images_of(), images_of(9, 8, 7, name="No")):
        assert submission.form_of(tmp_path / given, digits) == expected


@pytest.mark.parametrize("ids", ["9,8", "9,8,7,6", "9,7,8", "9,8,6", "8,7,6", "99,8,7"])
def test_a_sample_of_other_images_is_refused(tmp_path, ids):
    """Of another number of them, or with other ids than test.csv has, or in another order."""
    lines = "".join(f"{each},0\n" for each in ids.split(","))
    (tmp_path / "sample_submission.csv").write_text("id,label\n" + lines)
    refused = f"its {ids.count(',') + 1} ids are not those of the 3"
    with pytest.raises(DataError, match=refused):
        submission.form_of(tmp_path / "test.csv", images_of(9, 8, 7))
    if ids.count(",") != 2:
        with pytest.raises(DataError, match=refused):
            submission.form_of(tmp_path / "test.csv", images_of())


@pytest.mark.parametrize(
    "text", ["", "\n", "id,label\n1\n", "id,label\n1,2,3\n", "id,label\n1,2\n1,3\n", '"'],
    ids=["empty", "a blank line", "one cell", "three cells", "an id twice", "an open quote"],
)  # fmt: skip
def test_what_is_no_submission_stays_as_it_is(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(RunError, match=r"mine\.csv: not a submission .a header such as ImageId,La"):
        submission.read(path)
    with pytest.raises(UsageError, match="the file exists and is no submission; choose another"):
        submission.check_replaceable(path, [tmp_path / "test.csv"])
    (tmp_path / "sample_submission.csv").write_text(text)
    with pytest.raises(DataError, match=r"sample_submission\.csv: not a submission"):
        submission.form_of(tmp_path / "test.csv", images_of())


def test_a_submission_is_replaced_and_what_is_read_is_not(tmp_path):
    new, old, sample = (tmp_path / name for name in ("new.csv", "old.csv", "sample.csv"))
    for path in (old, sample):
        submission.write(path, [3, 1])
    submission.check_replaceable(new, [tmp_path])
    submission.check_replaceable(old, [sample, tmp_path, tmp_path / "none.csv"])
    with pytest.raises(UsageError, match=r"sample\.csv: is read, and stays as it is; choose"):
        submission.check_replaceable(sample, [sample])
    (tmp_path / "notes.txt").write_text("beside what is read")
    with pytest.raises(UsageError, match=r"notes\.txt: is read, and stays as it is"):
        submission.check_replaceable(tmp_path / "notes.txt", [tmp_path])


def test_a_submission_reads_back_with_any_ids_and_labels(tmp_path):
    path, ids, labels = tmp_path / "it.csv", ("a,b", '"', "ä"), ["x y", "7", "漢"]
    submission.write(path, labels, columns=("No", "Letter"), ids=ids)
    expected = submission.Submission(("No", "Letter"), ids, tuple(labels))
    assert submission.read(path) == expected
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as a spreadsheet saves it
    assert submission.read(path) == expected
    submission.write(tmp_path / "none.csv", [])
    assert submission.read(tmp_path / "none.csv") == submission.Submission(KAGGLE, (), ())
