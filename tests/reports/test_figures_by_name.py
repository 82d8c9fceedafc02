"""Figures stand under their own names: the table of an evaluation, and a submission."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.errors import RunError, UsageError
from mnistgpu.models.model import Model
from mnistgpu.reports import evaluation, html_report, robustness, run_report, submission
from mnistgpu.runs.outcome import Outcome


def evaluated():
    """Ten images of three pixels and three classes; the network answers with the brightest pixel.

    Of class 0 four are answered 0 and one 1, of class 1 two are answered 1 and one 2, of class 2
    both are answered 2.
    """
    answers = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2], dtype=np.uint8)
    images = np.zeros((10, 3), dtype=np.uint8)
    images[np.arange(10), answers] = [250, 240, 230, 220, 120, 200, 190, 180, 250, 240]
    digits = data.Digits(images, labels, "ten", (1, 3))
    return evaluation.evaluate(a_model(), digits, NUMPY, robustness=False)


def a_model():
    """Logits are five times the pixels, which are from 0 to 1."""
    theta = np.concatenate((5.0 * np.eye(3).reshape(-1), np.zeros(3)))
    return Model(theta, (3, 3), (1, 3))


def test_precision_and_recall_have_their_columns():
    lines = evaluated().lines()
    at = next(i for i, line in enumerate(lines) if line.endswith("precision  recall"))
    assert [line.split() for line in lines[at + 1 : at + 4]] == [
        ["0", "4", "1", "0", "100.0%", "80.0%"],
        ["1", "0", "2", "1", "66.7%", "66.7%"],
        ["2", "0", "0", "2", "66.7%", "100.0%"],
    ]
    assert lines[at - 1] == "rows are the true digits, columns the answers"


def test_the_first_lines_have_the_accuracy_and_its_interval():
    lines = evaluated().lines()
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
    expected = submission.Submission(("ImageId", "Label"), ("1", "2", "3"), ("7", "2", "0"))
    assert submission.read(path) == expected
    with pytest.raises(UsageError, match="the file exists"):
        submission.write(path, np.array([1]))


def test_a_submission_that_reads_back_otherwise_is_not_left(tmp_path, monkeypatch):
    path = tmp_path / "submission.csv"
    submission.write(path, np.array([7, 2, 0]))
    other = submission.read(path)
    monkeypatch.setattr(submission, "read", lambda written: other)
    with pytest.raises(RunError, match="reads back differently"):
        submission.write(path, np.array([7, 2, 2]), force=True)
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,2\n3,0\n"
    assert len(list(tmp_path.iterdir())) == 1


def table_rows(page):
    """The cells of every row of every table of a page, without their tags."""
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]
    return [row for row in cells if row[0]]  # without the heads of the confusion


def test_the_tables_of_the_page_have_the_figures_of_the_terminal():
    rows = table_rows(html_report.page(evaluated(), a_model(), "a name", "a command"))
    assert rows[:3] == [["0", "4", "1", "·"], ["1", "·", "2", "1"], ["2", "·", "·", "2"]]
    assert rows[3:7] == [
        ["digit", "precision", "recall", "F1", "images"],
        ["0", "100.0%", "80.0%", "88.9%", "5"],
        ["1", "66.7%", "66.7%", "66.7%", "3"],
        ["2", "66.7%", "100.0%", "80.0%", "2"],
    ]
    assert rows[7] == ["below", "refused", "wrong", "right of the rest"]
    assert rows[8] == ["50%", "0", "2", "80.00%"]
    assert len(rows) == 8 + len(evaluation.THRESHOLDS)


def test_each_mistake_has_its_picture_answer_and_label():
    page = html_report.page(evaluated(), a_model(), "a name", "a command")
    shown = re.findall(
        r'<img src="data:image/png;base64,([^"]*)" alt="image (\d+)".*?'
        r"answer <b>(\d)</b>, (\d+)%<br>label (\d)",
        page,
    )
    assert [(index, answer, label) for _, index, answer, _, label in shown] == [
        ("7", "2", "1"),
        ("4", "1", "0"),
    ]
    for png, index, *_ in shown:
        with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
            np.testing.assert_array_equal(picture, evaluated().digits.images[[int(index)]])
    # a pixel of 180 alone has e^(5 * 180 / 255) to 1 and 1
    assert [int(sure) for *_, sure, _ in shown] == [94, 84]


def test_a_chart_of_robustness_is_higher_where_more_is_right():
    trial = robustness.Trial("Some", "units", (0.0, 1.0, 4.0), robustness.noisy)
    chart = html_report.robustness_chart(evaluation.Curve(trial, (90, 50, 70), 100), 0.0)
    (line,) = re.findall(r'<polyline class="curve" points="([^"]*)"', chart)
    places = [tuple(map(float, point.split(","))) for point in line.split()]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert (x1 - x0) / (x2 - x0) == pytest.approx(0.25, abs=1e-6)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(2.0, abs=1e-6)  # 40 and 20 points below
    assert y1 > y0  # downwards on the screen
    assert re.findall(r"<title>(.*?)</title>", chart) == [
        "0 units: 90.0%",
        "1 units: 50.0%",
        "4 units: 70.0%",
    ]


@pytest.mark.parametrize("with_test", [True, False])
def test_a_report_of_a_run_is_about_the_images_that_were_not_trained_on(monkeypatch, with_test):
    """Or, where there are none, about the training images."""
    found, given = evaluated(), []
    other = data.Digits(found.digits.images[:1], found.digits.labels[:1], "other", (1, 3))
    train, test = (other, found.digits) if with_test else (found.digits, None)
    outcome = Outcome(a_model(), [], {}, found.probabilities if with_test else None)
    monkeypatch.setattr(run_report.plots, "save", lambda figure, path: None)
    monkeypatch.setattr(run_report.plots, "report", lambda *arguments: given.extend(arguments))
    run_report.write(Path("run"), outcome, data.Dataset(train, test, "some"), "a title")
    _, confusion, images, labels, probabilities, first_layer, title, subtitle, shape, names = given
    assert confusion.tolist() == [[4, 1, 0], [0, 2, 1], [0, 0, 2]]
    np.testing.assert_array_equal(images, found.digits.images)
    assert labels.tolist() == found.digits.labels.tolist()
    np.testing.assert_allclose(probabilities, found.probabilities)
    np.testing.assert_array_equal(first_layer, 5.0 * np.eye(3))
    assert (title, shape, names) == ("a title", (1, 3), ())
    assert subtitle == "ten: 80.00% of 10 right (95% interval 49.02% to 94.33%)"
