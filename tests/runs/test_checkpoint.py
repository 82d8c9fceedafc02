"""A run stopped at any step and resumed ends with the bits of one that was never stopped."""

import json
import math
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
from safetensors import safe_open

from mnistgpu import backend as backends
from mnistgpu import data, recipes
from mnistgpu.errors import BackendError, DataError, DivergedError, StoppedError, UsageError
from mnistgpu.runs import checkpoint, training
from mnistgpu.runs.signals import Stop
from mnistgpu.settings import Settings
from mnistgpu.storage import tensor_file

SMALL = Settings().changed(
    layers="784-12-10", init="he", epochs=3, batch_size=100, validation=100, learning_rate=0.1
)
BACKENDS = ["numpy", pytest.param("cupy", marks=pytest.mark.gpu)]


@pytest.fixture
def dataset(digits):
    images, labels = digits
    return data.Dataset(
        data.Digits(images[:900], labels[:900], "train"),
        data.Digits(images[900:1200], labels[900:1200], "test"),
        "the first digits",
    )


@pytest.fixture(params=BACKENDS)
def backend(request):
    try:
        return backends.select(request.param)
    except BackendError as error:
        pytest.skip(str(error))


def keeper(directory, dataset, stop=None, every="never", resumed=None):
    return checkpoint.FileKeeper(
        directory,
        None,
        dataset.digest,
        checkpoint.parse_every(every),
        stop or Stop(),
        resumed,
    )


def stopped(settings, dataset, directory, at, backend=backends.NUMPY, resumed=None):
    """Train until after step `at`, save, and read what was saved."""
    stop = Stop()

    def on_step(iteration):
        if iteration == at:
            stop.ask("a test", 130)

    with pytest.raises(StoppedError, match=f"after iteration {at}"):
        training.train(
            settings,
            dataset,
            backend,
            on_step,
            keeper=keeper(directory, dataset, stop, resumed=resumed),
        )
    return checkpoint.load(directory)


def figures(outcome):
    """All that must be equal: everything but the time that it took."""
    rows = [{**asdict(row), "seconds": None} for row in outcome.history]
    timed = ("seconds", "images_per_second")
    results = {name: value for name, value in outcome.results.items() if name not in timed}
    return repr(rows), repr(results)


def assert_same_bits(outcome, other):
    assert np.array_equal(outcome.model.theta, other.model.theta)
    assert np.array_equal(outcome.test_probabilities, other.test_probabilities)
    assert figures(outcome) == figures(other)


def check_resume(settings, dataset, directory, backend=backends.NUMPY, stops=2):
    """Stop at some random steps, resume each time, and compare with a run never stopped."""
    ends: list[int] = []  # of steps, or of some that are taken together
    whole = training.train(settings, dataset, backend, ends.append)
    steps = whole.results["iterations"]
    assert ends.pop() == steps
    saved = None
    for at in sorted(random.sample(ends, stops)):
        print(f"stopped after step {at} of {steps}")
        saved = stopped(settings, dataset, directory, at, backend, saved)
        assert saved.taken == at
        assert saved.settings == settings
    resumed = keeper(directory, dataset, resumed=saved)
    outcome = training.train(saved.settings, dataset, backend, keeper=resumed)
    assert_same_bits(outcome, whole)
    last = checkpoint.load(directory)
    assert last.progress.finished
    assert last.taken == steps


@pytest.mark.parametrize("recipe", recipes.RECIPES)
def test_every_recipe_resumes_bit_for_bit(backend, dataset, tmp_path, recipe):
    settings = recipes.RECIPES[recipe].settings
    first, *hidden, last = settings.sizes
    narrow = "-".join(map(str, (first, *(min(n, 60) for n in hidden), last)))
    settings = settings.changed(layers=narrow, validation=100)
    if settings.batch_size is None:
        settings = settings.changed(iterations=7)
    else:
        settings = settings.changed(epochs=2, batch_size=150)
    check_resume(settings, dataset, tmp_path, backend)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "momentum", "input_dropout": 0.2, "hidden_dropout": 0.5, "max_norm": 2.0},
        {"optimizer": "nesterov", "ema": 0.9, "clip_norm": 0.5, "schedule": "one-cycle"},
        {"optimizer": "adam", "ema": 0.99, "learning_rate": 0.01, "weight_decay": 0.1, "l2": 1e-4},
        {"epochs": 30, "early_stopping": 2, "learning_rate": 2.0},
        {"batch_norm": True, "epochs": 30, "early_stopping": 3, "schedule": "cosine"},
        {"precision": "float64", "schedule": "step", "warmup": 0.3, "activation": "tanh"},
        {"batch_size": 170, "schedule": "exponential", "label_smoothing": 0.1},
        {"batch_size": None, "iterations": 60},
        {"batch_size": 128, "iterations": 11, "validation": 0},
    ],
)
def test_every_part_of_a_run_resumes_bit_for_bit(backend, dataset, tmp_path, changes):
    check_resume(SMALL.changed(**changes), dataset, tmp_path, backend, stops=3)


def test_a_planted_error_is_seen(dataset, tmp_path):
    """The comparison can fail: one forgotten sum, one lost vector, one step too many."""
    settings = SMALL.changed(optimizer="momentum")
    whole = training.train(settings, dataset, backends.NUMPY)
    saved = stopped(settings, dataset, tmp_path, 10)
    for broken in (
        replace(saved, progress=replace(saved.progress, loss=0.0)),
        replace(saved, progress=replace(saved.progress, history=saved.progress.history[:-1])),
        replace(
            saved,
            vectors=saved.vectors | {"velocity": np.zeros_like(saved.vectors["velocity"])},
        ),
        replace(saved, taken=9),
    ):
        fresh = replace(
            broken, progress=replace(broken.progress, history=list(broken.progress.history))
        )
        outcome = training.train(
            settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset, resumed=fresh)
        )
        with pytest.raises(AssertionError):
            assert_same_bits(outcome, whole)


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


def test_checkpoints_come_as_often_as_asked(dataset, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(checkpoint, "save", lambda saved, path: taken.append(saved.taken))

    def steps_saved(every):
        taken.clear()
        training.train(
            SMALL, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset, None, every)
        )
        return taken

    assert steps_saved("never") == [24]  # at the end, always
    assert steps_saved("60s") == [24]
    assert steps_saved("1epoch") == [8, 16, 24]
    assert steps_saved("2epochs") == [16, 24]
    assert steps_saved("0s") == list(range(1, 25))


@pytest.mark.parametrize(
    "text", ["", "60", "s", "-1s", "1d", "0epochs", "1.5epochs", "nans", "5 m"]
)
def test_a_wrong_checkpoint_every_is_refused(text):
    with pytest.raises(UsageError, match=r"--checkpoint-every must be .* 60s, 5m or 1h"):
        checkpoint.parse_every(text)


def test_times_of_checkpoints():
    assert checkpoint.parse_every("90s").seconds == 90
    assert checkpoint.parse_every("1.5m").seconds == 90
    assert checkpoint.parse_every("2h").seconds == 7200
    assert checkpoint.parse_every("3epochs").epochs == 3
    assert checkpoint.parse_every("never").seconds == math.inf


# What may change


def test_a_longer_run_is_the_run_of_that_length(dataset, tmp_path):
    longer = SMALL.changed(epochs=5)
    whole = training.train(longer, dataset, backends.NUMPY)
    training.train(SMALL, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset))
    saved = checkpoint.load(tmp_path)
    assert saved.progress.finished
    settings = checkpoint.changed_settings(saved, {"epochs": 5}, "the run")
    resumed = keeper(tmp_path, dataset, resumed=saved)
    outcome = training.train(settings, dataset, backends.NUMPY, keeper=resumed)
    assert_same_bits(outcome, whole)


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (SMALL, {"layers": "784-9-10"}, "--layers 784-9-10 cannot be given with --resume"),
        (SMALL, {"seed": 7}, "--seed 7 cannot .* trained with 0 so far"),
        (SMALL, {"learning_rate": 0.2}, "--alpha 0.2 cannot .* trained with 0.1"),
        (SMALL.changed(schedule="linear"), {"epochs": 9}, "--epochs cannot change .* linear"),
        (SMALL.changed(warmup=0.1), {"iterations": 99}, "--iterations cannot .* --warmup 0.1"),
        (SMALL.changed(clean_ending=0.1, shift=1.0), {"epochs": 9}, "--clean-ending 0.1"),
    ],
)
def test_what_may_not_change_is_named(dataset, tmp_path, settings, changes, message):
    saved = stopped(settings, dataset, tmp_path, 5)
    with pytest.raises(UsageError, match=message) as refusal:
        checkpoint.changed_settings(saved, changes, "the run")
    assert "train anew" in str(refusal.value)
    same = {name: getattr(settings, name) for name in changes if getattr(settings, name)}
    assert checkpoint.changed_settings(saved, same, "the run") == settings


def test_a_run_cannot_become_shorter_than_it_is(dataset, tmp_path):
    saved = stopped(SMALL, dataset, tmp_path, 20)
    settings = checkpoint.changed_settings(saved, {"epochs": 2}, "the run")
    with pytest.raises(UsageError, match="has taken 20 steps, more than the 16"):
        training.train(
            settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset, resumed=saved)
        )


def test_early_stopping_has_the_last_word(dataset, tmp_path):
    settings = SMALL.changed(epochs=30, early_stopping=1, learning_rate=3.0)
    training.train(settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset))
    saved = checkpoint.load(tmp_path)
    assert saved.progress.finished
    assert saved.taken < 240
    settings = checkpoint.changed_settings(saved, {"epochs": 40}, "the run")
    with pytest.raises(UsageError, match="was ended by --early-stopping 1, and would be again"):
        training.train(
            settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset, resumed=saved)
        )


def test_a_finished_checkpoint_gives_the_same_results_again(dataset, tmp_path):
    """A run killed between its last step and its last file is finished by --resume."""
    settings = SMALL.changed(epochs=30, early_stopping=1, learning_rate=3.0)
    whole = training.train(settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset))
    resumed = keeper(tmp_path, dataset, resumed=checkpoint.load(tmp_path))
    again = training.train(settings, dataset, backends.NUMPY, keeper=resumed)
    assert_same_bits(again, whole)


# What is not a checkpoint


@pytest.fixture
def good(dataset, tmp_path):
    settings = SMALL.changed(optimizer="adam", batch_norm=True, early_stopping=5)
    return stopped(settings, dataset, tmp_path, 9), tmp_path / checkpoint.FILE


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
        ({"format_version": "2"}, {}, "format 2 is newer .*; upgrade mnistgpu"),
        ({"format": "mnistgpu-model"}, {}, "not a mnistgpu checkpoint"),
        ({"settings": "{"}, {}, "'settings'"),
        ({"settings": "[]"}, {}, "expected an object of settings"),
        ({"settings": '{"layers": "1-2", "new": 1}'}, {}, "unknown setting 'new'.*upgrade"),
        ({"settings": json.dumps({"learning_rate": 10**400})}, {}, "--alpha must be"),
        ({"data": "7"}, {}, "'data'"),
        ({"data_digest": "abc"}, {}, "'data_digest'"),
        ({"machine": '{"price": "high"}'}, {}, "'machine'"),
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
        {"rows": checkpoint.MOST_ROWS + 1},
        {"pixels": 785},
        {"pixels": 0},
        {"workers": 0},
        {"loss": math.nan},
        {"loss": 1},
        {"best_score": [1.0]},
        {"best_score": None},
        {"finished": 0},
        {"more": 0},
    ],
)
def test_a_record_that_nobody_wrote_is_refused(good, changes):
    _, path = good
    rewrite(path, {"record": record(path, **changes)})
    with pytest.raises(DataError):
        checkpoint.load(path.parent)


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
def test_a_history_that_nobody_trained_is_refused(good, row, column, value):
    _, path = good
    with safe_open(path, "np") as file:
        history = file.get_tensor("history")
    history[row, checkpoint.COLUMNS.index(column)] = value
    rewrite(path, {}, {"history": history})
    with pytest.raises(DataError, match="'history'"):
        checkpoint.load(path.parent)


def test_a_checkpoint_without_history_is_refused(good):
    _, path = good
    empty = np.empty((0, len(checkpoint.COLUMNS)))
    rewrite(path, {"record": record(path, rows=0)}, {"history": empty})
    with pytest.raises(DataError, match="'history'"):
        checkpoint.load(path.parent)


def test_a_long_history_is_thinned(dataset, tmp_path, monkeypatch):
    """At the same steps in a run that was stopped, and what was thinned can be read."""
    monkeypatch.setattr(checkpoint, "MOST_ROWS", 9)
    settings = SMALL.changed(epochs=20)
    whole = training.train(settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset))
    iterations = [row.iteration for row in whole.history]
    assert iterations[:2] == [1, 64]  # thinned three times
    assert iterations[-1] == 160
    assert len(iterations) <= 9
    saved = None
    for at in (70, 111):
        saved = stopped(settings, dataset, tmp_path, at, resumed=saved)
    resumed = keeper(tmp_path, dataset, resumed=saved)
    assert_same_bits(training.train(settings, dataset, backends.NUMPY, keeper=resumed), whole)


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


def test_every_checkpoint_of_a_run_that_diverges_loads(dataset, tmp_path):
    """Sums, scores and parameters overflow at different steps: none may replace what was good."""
    chance, steep = random.Random(0), {"batch_size": 50, "epochs": 2, "warmup": 0.9}
    drawn = [
        {
            "layers": chance.choice(["784-6-6-10", "784-6-6-6-6-10"]),
            "activation": chance.choice(["relu", "leaky-relu"]),
            "optimizer": chance.choice(["gradient-descent", "momentum", "adam"]),
            "early_stopping": chance.choice([None, 1]),
            "learning_rate": 10 ** chance.uniform(1, 25),
            "seed": seed,
        }
        for seed in range(60)
    ]
    # the sum of its losses overflows while its parameters are still finite
    known = {"layers": "784-6-6-10", "activation": "leaky-relu", "learning_rate": 116.0, "seed": 62}
    diverged = left = 0
    for changes in (known, *drawn):
        settings = SMALL.changed(**steep, **changes)
        (tmp_path / checkpoint.FILE).unlink(missing_ok=True)
        with np.errstate(all="ignore"):
            try:
                training.train(
                    settings, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset, None, "0s")
                )
            except DivergedError:
                diverged += 1
        if (tmp_path / checkpoint.FILE).exists():
            checkpoint.load(tmp_path)
            left += 1
    assert diverged > 10
    assert left > 10


def test_other_pixels_than_the_checkpoint_had(dataset, tmp_path):
    saved = stopped(SMALL.changed(min_ink=0.05), dataset, tmp_path, 5)
    with pytest.raises(DataError, match=r"looks at \d+ pixels.* train anew"):
        training.train(
            SMALL, dataset, backends.NUMPY, keeper=keeper(tmp_path, dataset, None, "never", saved)
        )


def test_no_checkpoint_is_said_so(tmp_path):
    with pytest.raises(DataError, match="nothing to resume"):
        checkpoint.load(tmp_path)
