"""Classes have their names in the tables, the page and the pictures of an evaluation."""

import dataclasses

import numpy as np
import pytest
from helpers.plots import history, sample, saved, texts

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.models.model import Model
from mnistgpu.pictures.answers import Answer
from mnistgpu.reports import evaluation, html_report, plots

pytestmark = pytest.mark.usefixtures("no_warnings")
GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def evaluated(count, names):
    """An evaluation of `count` images, one of each class, whose answer is the class after it."""
    images = 255 * np.roll(np.eye(count, dtype=np.uint8), 1, axis=1)
    theta = np.concatenate((5.0 * np.eye(count).reshape(-1), np.zeros(count)))
    trained = Model(theta, (count, count), (1, count), classes=names)
    digits = data.Digits(images, np.arange(count, dtype=np.uint8), "some", (1, count))
    return trained, evaluation.evaluate(trained, digits, NUMPY, robustness=False)


def test_the_table_is_as_wide_as_its_names():
    _, found = evaluated(3, ("a", "Ankle boot", "x\x1b[2J"))
    head, *rows = found.lines()[3:7]
    assert head.split() == ["a", "Ankle", "boot", r"x\x1b[2J", "precision", "recall"]
    assert [len(row) for row in rows] == [len(head)] * 3
    assert rows[1].split() == ["Ankle", "boot", "0", "0", "1", "0.0%", "0.0%"]


def test_of_many_classes_the_most_frequent_mistakes_are_listed():
    names = tuple(range(1, 27))
    _, found = evaluated(26, names)
    lines = found.lines()
    assert max(map(len, lines[:30])) < 100
    assert lines[2] == "of each class:"
    assert [line.split()[0] for line in lines[4:30]] == [str(name) for name in names]
    assert lines[30].startswith("most often confused: 1 as 2 (1), 2 as 3 (1)")


def test_the_page_has_the_names_and_no_markup_of_theirs():
    trained, found = evaluated(3, ("<b>", "Coat", "Bag"))
    page = html_report.page(found, trained, "run", "command")
    assert page.count('<th scope="row">&lt;b&gt;</th>') == 2
    assert "answer <b>Coat</b>, 99%<br>label &lt;b&gt;" in page


def test_the_report_has_the_names(digits, tmp_path):
    confusion, *rest = sample(digits)
    figure = plots.report(history(), confusion, *rest, "a", "b", names=GARMENTS)
    ticks = [label.get_text() for ax in figure.axes for label in ax.get_yticklabels()]
    assert set(GARMENTS) <= set(ticks)
    written = texts(figure)
    assert any(" wrong, most often " in text and "read as" in text for text in written)
    below = [text for text in written if text.endswith("%") and "  " in text]
    assert sum(text.split("  ")[0] in {name[:5] for name in GARMENTS} for text in below) > 10
    saved(plots.report(history(), confusion, *rest, "a", "b", names=("$x$",) * 10), tmp_path)


def test_an_answer_has_the_names_for_people_and_for_programs():
    given = Answer("it", np.zeros(1), (0, 0, 1, 1), np.zeros(1), np.array([0.1, 0.7, 0.2]))
    named = dataclasses.replace(given, classes=("a", "b", "c"))
    assert (given.digit, named.digit, named.probability) == (1, "b", 0.7)
    assert named.sentence() == "it: b (70.0%), then c (20.0%)"
    assert (named.record()["digit"], named.record()["runner_up"]) == ("b", "c")
    assert given.sentence() == "it: 1 (70.0%), then 2 (20.0%)"
