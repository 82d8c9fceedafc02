"""checkpoint.safetensors: it reads back as written, and nothing else passes for one."""

import json
import math
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.resuming import SMALL, stopped
from safetensors import safe_open

from mnistgpu import data
from mnistgpu.backend import NUMPY
from mnistgpu.errors import DataError, DivergedError
from mnistgpu.runs import checkpoint, history
from mnistgpu.storage import tensor_file


def test_a_checkpoint_reads_back_as_it_was_written(dataset, tmp_path):
    settings = SMALL.changed(optimizer="adam", batch_norm=True, early_stopping=5, min_ink=0.05)
    saved = stopped(settings, dataset, tmp_path, 13)
    (tmp_path / "again").mkdir()
    checkpoint.save(saved, tmp_path / "again" / checkpoint.FILE)
    again = checkpoint.load(tmp_path / "again")
    assert set(saved.vectors) == {"theta", "first", "second", "mean.0", "variance.0"}
    for name, vector in saved.vectors.items():
        assert np.array_equal(again.vectors[name], vector), name
    assert np.array_equal(again.progress.best_theta, saved.progress.best_theta)
    plain = {"vectors": {}, "progress": replace(saved.progress, best_theta=None)}
    other = {"vectors": {}, "progress": replace(again.progress, best_theta=None)}
    assert repr(replace(again, **other)) == repr(replace(saved, **plain))
    assert 0 < saved.pixels < 784


@pytest.fixture(scope="module")
def written(digits, tmp_path_factory):
    """The checkpoint of a run that was stopped after 9 steps, and that of an exact run after 2."""
    images, labels = digits
    dataset = data.Dataset(data.Digits(images[:900], labels[:900], "train"), None, "digits")
    settings = SMALL.changed(optimizer="adam", batch_norm=True, early_stopping=5)
    folders = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("exact")
    stopped(settings, dataset, folders[0], 9)
    stopped(SMALL.changed(precision="exact"), dataset, folders[1], 2)
    return [folder / checkpoint.FILE for folder in folders]


@pytest.fixture
def good(written, tmp_path):
    """A checkpoint, and the file that it was read from, which a test may change."""
    shutil.copy(written[0], tmp_path)
    return checkpoint.load(tmp_path), tmp_path / checkpoint.FILE


def rewrite(path, texts=None, tensors=None):
    """Write a checkpoint again with other texts and arrays, and a digest that fits them."""
    with safe_open(path, "np") as file:
        old_texts = file.metadata()
        old_tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    version = int((texts or {}).get("format_version", checkpoint.FORMAT_VERSION))
    kind = (texts or {}).get("format", checkpoint.FORMAT)
    new = {**old_tensors, **(tensors or {})}
    new = {name: array for name, array in new.items() if array is not None}
    tensor_file.write(path, kind, version, {**old_texts, **(texts or {})}, new)


def record(path, **changes):
    with safe_open(path, "np") as file:
        return json.dumps({**json.loads(file.metadata()["record"]), **changes})


@pytest.mark.parametrize(
    ("texts", "tensors", "message"),
    [
        ({"format_version": "4"}, {}, "format 4 is newer .*; upgrade mnistgpu"),
        ({"format": "mnistgpu-model"}, {}, "not a mnistgpu checkpoint"),
        ({"settings": "{"}, {}, "'settings'"),
        ({"settings": "[]"}, {}, "expected an object of settings"),
        ({"settings": '{"layers": "1-2", "new": 1}'}, {}, "unknown setting 'new'.*upgrade"),
        ({"settings": json.dumps({"learning_rate": 10**400})}, {}, "--alpha must be"),
        ({"data": "7"}, {}, "'data'"),
        ({"data_digest": "abc"}, {}, "'data_digest'"),
        ({"machine": '{"price": "high"}'}, {}, "'machine'"),
        ({"machine": "[]"}, {}, "'machine'"),
        ({"machine": '{"numpy": 3}'}, {}, "'machine'"),
        ({"machine": json.dumps({"numpy": "x" * 1000})}, {}, "'machine'"),
        ({"machine": '{"backend": "a/b"}'}, {}, "'machine'"),
        ({"record": "[" * 9999}, {}, "'record'"),
        ({}, {"theta": None}, "holds the arrays .* are expected"),
        ({}, {"third": np.zeros(1, np.float32)}, "'third'.* are expected"),
        ({}, {"theta": np.zeros(5, np.float32)}, r"theta has the shape \[5\]"),
        (
            {},
            {"variance.0": np.zeros((12, 1), np.float32)},
            "variance.0 holds numbers beyond 5e-06",
        ),
        ({}, {"second": np.full(9550, -1e-9, np.float32)}, "second holds numbers beyond 0"),
        ({}, {"first": np.zeros(9550)}, "first is of type 'F64', where float32"),
        (
            {},
            {"mean.0": np.full((12, 1), np.nan, np.float32)},
            "mean.0 holds numbers .* not finite",
        ),
    ],
)
def test_a_checkpoint_that_disagrees_with_itself_is_refused(good, texts, tensors, message):
    _, path = good
    rewrite(path, texts, tensors)
    with pytest.raises(DataError, match=message) as refusal:
        checkpoint.load(path.parent)
    assert str(refusal.value).startswith(str(path))


@pytest.mark.parametrize(
    "changes",
    [
        {"taken": -1},
        {"taken": 1.5},
        {"taken": True},
        {"rows": 3},
        {"rows": 10**300},
        {"rows": history.MOST_ROWS + 1},
        {"pixels": 785},
        {"pixels": 0},
        {"workers": 0},
        {"loss": math.nan},
        {"loss": 1},
        {"best_score": [1.0]},
        {"best_score": [1.0, "high"]},
        {"best_score": [0.5, 0.5, 0.5]},
        {"best_score": [0.5, math.inf]},
        {"best_score": [0, -1]},
        {"best_score": None},
        {"finished": 0},
        {"more": 0},
    ],
)
def test_an_impossible_record_is_refused(good, changes):
    _, path = good
    rewrite(path, {"record": record(path, **changes)})
    with pytest.raises(DataError):
        checkpoint.load(path.parent)


def test_a_checkpoint_has_as_many_rows_as_a_run_keeps(written):
    texts, _ = checkpoint.parts(checkpoint.load(written[0].parent))
    for rows in (1, history.MOST_ROWS):
        texts["record"] = record(written[0], rows=rows)
        assert checkpoint.expected(texts, "here")["history"].shape[0] == rows
    texts["record"] = record(written[0], rows=history.MOST_ROWS + 1)
    with pytest.raises(DataError, match="here: what it says under 'rows' is not what mnistgpu"):
        checkpoint.expected(texts, "here")


@pytest.mark.parametrize(
    "pairs",
    [
        *({"1": "ab" * 32}, 3, [3], [[]], [[1]], [["1", "ab" * 32]], [[True, "ab" * 32]]),
        *([[1, 7]], [[1, "ab" * 31]], [[1, "AB" * 32]], [[1, "ab" * 32, 2]], [[1.0, "ab" * 32]]),
    ],
)
def test_impossible_digests_of_an_exact_run_are_refused(written, pairs):
    saved = checkpoint.load(written[1].parent)
    texts, _ = checkpoint.parts(saved)
    assert json.loads(texts["digests"]) == [[step, saved.progress.digests[step]] for step in (1, 2)]
    checkpoint.expected(texts, "here")
    with pytest.raises(DataError, match="here: what it says under 'digests' is not what mnistgpu"):
        checkpoint.expected(texts | {"digests": json.dumps(pairs)}, "here")


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (0, "iteration", 2.0),
        (0, "iteration", math.nan),
        (-1, "iteration", math.inf),
        (-1, "iteration", 1.0),
        (-1, "iteration", 3.5),
        (-1, "iteration", 1e9),
        (0, "train_loss", math.nan),
        (-1, "seconds", -math.inf),
    ],
)
def test_an_impossible_history_is_refused(good, row, column, value):
    _, path = good
    with safe_open(path, "np") as file:
        rows = file.get_tensor("history")
    rows[row, history.COLUMNS.index(column)] = value
    rewrite(path, {}, {"history": rows})
    with pytest.raises(DataError, match="'history'"):
        checkpoint.load(path.parent)


def test_a_checkpoint_without_history_is_refused(good):
    _, path = good
    empty = np.empty((0, len(history.COLUMNS)))
    rewrite(path, {"record": record(path, rows=0)}, {"history": empty})
    with pytest.raises(DataError, match="'history'"):
        checkpoint.load(path.parent)


def test_every_byte_of_a_checkpoint_counts(good):
    """Any changed bit, any cut, any addition: the digest or the sizes do not fit."""
    _, path = good
    whole = path.read_bytes()
    where = random.Random(0)
    for _ in range(300):
        content = bytearray(whole)
        content[where.randrange(len(whole))] ^= 1 << where.randrange(8)
        path.write_bytes(content)
        with pytest.raises(DataError):
            checkpoint.load(path.parent)
    for content in (whole[: len(whole) // 2], whole[:7], whole[:-1], whole + b"\0", b""):
        path.write_bytes(content)
        with pytest.raises(DataError):
            checkpoint.load(path.parent)


def test_what_is_not_finite_never_replaces_what_is(good):
    saved, path = good
    before = path.read_bytes()
    best = saved.progress.best_theta
    for changes, name in (
        ({"loss": np.float32(np.inf)}, "the loss"),
        ({"best_theta": np.full_like(best, np.nan)}, "the best network"),
        ({"best_score": (0.5, -np.inf)}, "its score"),
    ):
        with pytest.raises(DivergedError, match=f"{name} is no longer finite"):
            checkpoint.save(replace(saved, progress=replace(saved.progress, **changes)), path)
        assert path.read_bytes() == before
    saved.vectors["second"][5] = np.inf
    with pytest.raises(DivergedError, match="second is no longer finite"):
        checkpoint.save(saved, path)
    assert path.read_bytes() == before


def test_what_load_would_refuse_is_not_written(good):
    """Whatever else may be wrong with a state: the file that is there is worth more."""
    saved, path = good
    before = path.read_bytes()
    for broken in (
        replace(saved, taken=0),
        replace(saved, pixels=785),
        replace(saved, vectors={**saved.vectors, "theta": saved.vectors["theta"][1:]}),
        replace(saved, vectors={**saved.vectors, "variance.0": np.zeros((12, 1), np.float32)}),
        replace(saved, progress=replace(saved.progress, history=[])),
    ):
        with pytest.raises(DataError):
            checkpoint.save(broken, path)
        assert path.read_bytes() == before


def test_no_checkpoint_is_said_so(tmp_path):
    with pytest.raises(DataError, match="nothing to resume"):
        checkpoint.load(tmp_path)


def test_ranks_are_counted_where_there_is_a_communicator():
    assert "rank" not in checkpoint.machine(NUMPY)["steps"]
    assert checkpoint.machine(NUMPY, 1)["steps"] == "steps on 1 rank"
    assert checkpoint.machine(NUMPY, 3)["steps"] == "steps on 3 ranks"
