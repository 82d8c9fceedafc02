"""Messages: what a terminal can show, and suggestions for unknown names."""

import pytest

from mnistgpu.errors import SYNONYMS, MnistGpuError, did_you_mean
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.maths.optimizers import OPTIMIZERS, SCHEDULES
from mnistgpu.network import INITIALIZATIONS
from mnistgpu.settings import PRECISIONS

TABLES = (OPTIMIZERS, ACTIVATIONS, SCHEDULES, INITIALIZATIONS, PRECISIONS)


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_a_synonym_means_a_name_of_one_table(synonym):
    meant = SYNONYMS[synonym]
    (table,) = (table for table in TABLES if meant.split()[0] in table)
    assert did_you_mean(synonym, table) == f"; did you mean {meant}?"


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("SGD", OPTIMIZERS, "; did you mean gradient-descent?"),
        ("AdamW", OPTIMIZERS, "; did you mean adam with --weight-decay?"),
        ("ReLU", ACTIVATIONS, "; did you mean relu?"),
        ("leaky_relu", ACTIVATIONS, "; did you mean leaky-relu?"),
        ("cosin", SCHEDULES, "; did you mean cosine?"),
        ("sgd", INITIALIZATIONS, ""),  # the synonym of a name of another table
        ("zzz", ACTIVATIONS, ""),
        (7, ACTIVATIONS, ""),
    ],
)
def test_the_nearest_name(name, names, hint):
    assert did_you_mean(name, names) == hint


def test_a_message_is_printable_and_of_bounded_length():
    assert str(MnistGpuError("a\x1b[2Jb")) == "a\\x1b[2Jb"
    long = str(MnistGpuError("x" * 5000))
    assert len(long) < 1500
    assert " [...] " in long
