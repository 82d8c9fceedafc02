"""Figures stand under their own names: the table of an evaluation, and a submission."""

import numpy as np
import pytest

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.errors import RunError, UsageError
from mnistgpu.models.model import Model
from mnistgpu.reports import evaluation, submission


def evaluated():
    """Ten images of three pixels and three classes; the network answers with the brightest pixel.

    Of class 0 four are answered 0 and one 1, of class 1 two are answered 1 and one 2, of class 2
    both are answered 2.
    """
    answers = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2], dtype=np.uint8)
    images = np.zeros((10, 3), dtype=np.uint8)
    images[np.arange(10), answers] = [250, 240, 230, 220, 120, 200, 190, 180, 250, 240]
    theta = np.concatenate((5.0 * np.eye(3).reshape(-1), np.zeros(3)))
    digits = data.Digits(images, labels, "ten", (1, 3))
    return evaluation.evaluate(Model(theta, (3, 3), (1, 3)), digits, NUMPY, robustness=False)


def test_precision_and_recall_have_their_columns():
    lines = []
    evaluation.print_lines(evaluated(), lines.append)
    at = next(i for i, line in enumerate(lines) if line.endswith("precision  recall"))
    assert [line.split() for line in lines[at + 1 : at + 4]] == [
        ["0", "4", "1", "0", "100.0%", "80.0%"],
        ["1", "0", "2", "1", "66.7%", "66.7%"],
        ["2", "0", "0", "2", "66.7%", "100.0%"],
    ]
    assert lines[at - 1] == "rows are the true digits, columns the answers"


def test_the_first_lines_have_the_accuracy_and_its_interval():
    lines = []
    evaluation.print_lines(evaluated(), lines.append)
    assert lines[0] == "ten: 8 of 10 right"
    # Wilson's interval of 8 of 10, as in his formula: 0.4902 to 0.9433
    assert lines[1] == "accuracy 0.8000 (95% interval 0.4902 to 0.9433)"


def test_the_surest_mistakes_come_first():
    found = evaluated()
    assert found.worst.tolist() == [7, 4]  # a pixel of 180 is surer than one of 120
    assert found.confusion.tolist() == [[4, 1, 0], [0, 2, 1], [0, 0, 2]]


def test_answers_are_numbered_from_one(tmp_path):
    path = tmp_path / "submission.csv"
    submission.write(path, np.array([7, 2, 0]))
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,2\n3,0\n"
    assert submission.read(path).tolist() == [7, 2, 0]
    with pytest.raises(UsageError, match="the file exists"):
        submission.write(path, np.array([1]))


def test_a_submission_that_reads_back_otherwise_is_not_left(tmp_path, monkeypatch):
    path = tmp_path / "submission.csv"
    submission.write(path, np.array([7, 2, 0]))
    monkeypatch.setattr(submission, "read", lambda written: np.array([7, 2, 1]))
    with pytest.raises(RunError, match="reads back differently"):
        submission.write(path, np.array([7, 2, 2]), force=True)
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,2\n3,0\n"
    assert len(list(tmp_path.iterdir())) == 1
