"""`MnistGpuClassifier`: what it learns and answers, alone and inside scikit-learn's tools."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import joblib
from helpers import runs
from helpers.mnist import ROOT
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mnistgpu
from mnistgpu import MnistGpuClassifier
from mnistgpu.models import model

QUICK = {"hidden_layer_sizes": (16,), "epochs": 30, "learning_rate": 0.01, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore:.*(guessing|dead)")


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def test_it_learns_a_table_and_names_what_it_saw(wine):
    import pandas

    X, y = wine
    table = pandas.DataFrame(X, columns=[f"column {i}" for i in range(13)])
    names = np.array(["red", "white", "rose"])[y]
    classifier = MnistGpuClassifier(**QUICK).fit(table, names)
    assert classifier.score(table, names) > 0.94
    assert classifier.classes_.tolist() == ["red", "rose", "white"]
    assert classifier.predict_proba(table).shape == (178, 3)
    assert classifier.feature_names_in_[2] == "column 2"
    assert (classifier.n_features_in_, classifier.n_iter_) == (13, 30)
    assert len(classifier.loss_curve_) == 30
    assert classifier.loss_curve_[-1] < 0.3 * classifier.loss_curve_[0]
    assert classifier.validation_loss_curve_ is None
    assert [W.shape for W in classifier.coefs_] == [(13, 16), (16, 3)]
    logarithms = classifier.predict_log_proba(table)
    np.testing.assert_allclose(np.exp(logarithms), classifier.predict_proba(table), rtol=1e-5)


def test_weights_by_hand_give_the_answers(wine):
    """coefs_ and intercepts_ are those of the answers."""
    X, y = wine
    classifier = MnistGpuClassifier(**QUICK).fit(X, y)
    (W1, W2), (b1, b2) = classifier.coefs_, classifier.intercepts_
    Z = np.maximum(X.astype(np.float32) @ W1 + b1, 0) @ W2 + b2
    expected = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(X), expected, rtol=2e-4, atol=1e-7)


@pytest.mark.slow
def test_the_network_is_that_of_the_command_line(tmp_path):
    folder = runs.write_small_set(tmp_path)
    given = "--layers 784-12-10 --epochs 2 --batch-size 50 --optimizer adam --lr 0.01 --init glorot"
    more = "--seed 3 --validation 100 --hidden-dropout 0.1 --class-weight balanced"
    done = runs.run("--data", folder, *given.split(), *more.split(), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    dataset = mnistgpu.load_data(folder)
    classifier = MnistGpuClassifier(
        12, epochs=2, batch_size=50, learning_rate=0.01, random_state=3, validation=100,
        hidden_dropout=0.1, class_weight="balanced",
    )  # fmt: skip
    classifier.fit(dataset.train.images, dataset.train.labels)
    trained = model.load(tmp_path / "run")
    assert classifier.model_.digest == trained.digest
    right = np.mean(classifier.predict(dataset.test.images) == dataset.test.labels)
    assert (
        f"{right:.4f}" in done.stdout
        or right
        == mnistgpu.load(tmp_path / "run")
        .evaluate(dataset.test.images, dataset.test.labels)
        .accuracy
    )
    assert mnistgpu.save(classifier.model_, tmp_path / "a.safetensors").exists()


def test_a_recipe_is_that_of_fit(digits):
    images, labels = (each[:900] for each in digits)
    more = {"epochs": 2, "validation": 90}
    classifier = MnistGpuClassifier.from_recipe("fast", **more).fit(images, labels)
    assert classifier.model_.digest == mnistgpu.fit(images, labels, recipe="fast", **more).digest
    floats = images.astype(float)  # the same levels in another type
    assert np.array_equal(classifier.predict_proba(floats), classifier.predict_proba(images))
    halves = classifier.predict_proba(images + 0.25)
    np.testing.assert_allclose(halves, classifier.predict_proba(images), atol=0.05)


def test_early_stopping_keeps_the_best_and_shows_the_validation(wine):
    X, y = wine
    early = MnistGpuClassifier(**QUICK | {"epochs": 500}, early_stopping=5).fit(X, y)
    assert early.n_iter_ < 500
    assert len(early.validation_loss_curve_) == early.n_iter_ == len(early.validation_scores_)
    assert np.argmax(early.validation_scores_) <= early.n_iter_ - 5
    given = MnistGpuClassifier(**QUICK | {"epochs": 500}, early_stopping=5)
    given.fit(X[30:], y[30:], X_val=X[:30], y_val=y[:30])
    best = max(given.validation_scores_)
    assert given.score(X[:30], y[:30]) == pytest.approx(best)


def test_partial_fit_in_parts_learns_and_needs_all_classes(wine):
    X, y = wine
    X, y = np.vstack([X, X]), np.hstack([y, y])
    classifier = MnistGpuClassifier(**QUICK, batch_size=20)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        classifier.partial_fit(X, y)
    losses = []
    for _ in range(8):
        for start in range(0, len(X), 100):
            part = slice(start, start + 100)
            classifier.partial_fit(X[part], y[part], classes=[0, 1, 2])
            losses.append(classifier.loss_curve_[-1])
    assert classifier.score(X, y) > 0.97
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(ValueError, match="label 7 is none of the classes 0, 1, 2"):
        classifier.partial_fit(X[:20], np.full(20, 7))
    with pytest.raises(ValueError, match="features"):
        classifier.partial_fit(X[:20, :5], y[:20])


@pytest.mark.parametrize("optimizer", ["adam", "gradient-descent"])
def test_calls_of_partial_fit_on_full_batches_are_the_steps_of_fit(wine, optimizer):
    """The optimiser goes on where it was: 5 calls are 5 steps."""
    X, y = wine
    how = QUICK | {"batch_size": None, "optimizer": optimizer, "precision": "float64"}
    whole = MnistGpuClassifier(**how | {"epochs": 5}).fit(X, y)
    parts = MnistGpuClassifier(**how)
    for _ in range(5):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    np.testing.assert_allclose(parts.coefs_[0], whole.coefs_[0], rtol=1e-9, atol=1e-12)


def test_warm_start_goes_on_and_refuses_another_network(wine):
    X, y = wine
    classifier = MnistGpuClassifier(**QUICK | {"epochs": 3}, warm_start=True).fit(X, y)
    first = classifier.loss_curve_[-1]
    classifier.fit(X, y)
    assert classifier.loss_curve_[0] < first
    cold = MnistGpuClassifier(**QUICK | {"epochs": 3}).fit(X, y)
    again = cold.loss_curve_
    assert cold.fit(X, y).loss_curve_ == again
    with pytest.raises(ValueError, match="other layers than the one to go on from"):
        classifier.set_params(hidden_layer_sizes=(7,)).fit(X, y)
    classifier.set_params(hidden_layer_sizes=(16,), optimizer="momentum", learning_rate=1e-4)
    assert classifier.fit(X, y).loss_curve_[0] < first


def test_weights_count_as_repeated_rows_and_classes_by_their_names(wine):
    X, y = wine
    how = QUICK | {"batch_size": None, "precision": "float64", "epochs": 20}
    counts = np.arange(len(y)) % 3
    weighted = MnistGpuClassifier(**how).fit(X, y, sample_weight=counts)
    repeated = MnistGpuClassifier(**how).fit(np.repeat(X, counts, 0), np.repeat(y, counts))
    np.testing.assert_allclose(weighted.coefs_[0], repeated.coefs_[0], rtol=1e-7, atol=1e-10)
    names = np.array(["a", "b,c", "d:e"])[y]
    by_class = MnistGpuClassifier(**how, class_weight={"d:e": 3.0, "a": 0.5}).fit(X, names)
    by_row = MnistGpuClassifier(**how).fit(X, names, np.choose(y, [0.5, 1.0, 3.0]))
    assert np.array_equal(by_class.coefs_[0], by_row.coefs_[0])
    with pytest.raises(ValueError, match=r"'x'.* must be one of the classes a, b,c, d:e"):
        MnistGpuClassifier(**how, class_weight={"x": 2}).fit(X, names)


def test_rows_of_weight_zero_are_as_if_they_were_not_there(wine):
    X, y = wine
    kept = np.arange(len(y)) % 4 > 0
    how = QUICK | {"batch_size": 20, "epochs": 4}
    weighted = MnistGpuClassifier(**how).fit(X, y, sample_weight=kept)
    without = MnistGpuClassifier(**how).fit(X[kept], y[kept])
    assert np.array_equal(weighted.coefs_[0], without.coefs_[0])


def test_balanced_classes_find_the_rare_one():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(0, 1, (570, 2)), rng.normal(1.5, 1, (30, 2))])
    y = np.repeat([0, 1], [570, 30])
    plain = MnistGpuClassifier(**QUICK).fit(X, y)
    balanced = MnistGpuClassifier(**QUICK, class_weight="balanced").fit(X, y)
    found = [np.mean(each.predict(X[570:]) == 1) for each in (plain, balanced)]
    assert found[1] > found[0] + 0.2
    assert balanced.loss_curve_[-1] != plain.loss_curve_[-1]


@pytest.mark.parametrize(
    ("X", "y", "more", "says"),
    [
        (np.full((8, 2), np.nan), [0, 1] * 4, {}, "NaN"),
        (np.ones((8, 2)), [3] * 8, {}, "all labels are .*3.*1 class"),
        (np.ones((8, 2)), [0, 1] * 4, {"sample_weight": [1, 2]}, r"shape \(8,\), .* not \(2,\)"),
        (np.ones((8, 2)), [0, 1] * 4, {"sample_weight": [-1.0] * 8}, "of at least 0"),
        (np.ones((8, 2)), [0, 1] * 4, {"sample_weight": [1, 0] * 4}, "fewer than 2 classes"),
        (np.ones((8, 2)), [0.5, 1.5] * 4, {}, "continuous"),
    ],
)
def test_what_cannot_be_learnt_is_a_value_error(X, y, more, says):
    with pytest.raises(ValueError, match=says):
        MnistGpuClassifier(**QUICK).fit(X, y, **more)


def test_wrong_settings_and_other_features_are_refused(wine):
    X, y = wine
    sparse = pytest.importorskip("scipy.sparse").csr_array(X)
    with pytest.raises(TypeError, match="dense data is required"):
        MnistGpuClassifier(**QUICK).fit(sparse, y)
    with pytest.raises(TypeError, match="no parameter 'hiden_dropout'; did you mean hidden_dro"):
        MnistGpuClassifier(hiden_dropout=0.1)
    for wrong, says in (
        ({"hidden_dropout": 2.0}, "--hidden-dropout must be"),
        ({"rotation": 10.0}, "deform images, but X has features"),
        ({"precision": "exact"}, "needs whole grey levels, but X has features"),
        ({"image_shape": (3, 3)}, "image_shape: 3x3 is not 13"),
        ({"image_shape": 13}, "image_shape: must be the height and the width of an image"),
        ({"image_shape": (-1, -13)}, "image_shape: -1x-13 is not 13"),
        ({"class_weight": {0: "much"}}, "class_weight: {0: 'much'} must be one of the classes"),
        ({"hidden_layer_sizes": None}, "hidden_layer_sizes: must be whole numbers"),
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes: must be whole numbers"),
        ({"batch_size": "auto"}, "--batch-size must be"),
        ({"validation": "some"}, "--validation must be"),
        ({"class_weight": 3}, "--class-weight must be"),
    ):
        with pytest.raises(ValueError, match=says):
            MnistGpuClassifier(**QUICK | wrong).fit(X, y)
    for wrong, says in (
        ({"class_weight": "balanced"}, "sees no whole set to balance"),
        ({"early_stopping": 3}, "partial_fit holds nothing out"),
        ({"class_weight": {0: 0, 1: 0, 2: 0}}, "X: every row has the weight 0"),
    ):
        with pytest.raises(ValueError, match=says):
            MnistGpuClassifier(**QUICK | wrong).partial_fit(X, y, [0, 1, 2])
    with pytest.raises(NotFittedError):
        MnistGpuClassifier().predict(X)
    fitted = MnistGpuClassifier(**QUICK | {"epochs": 1}).fit(X, y)
    with pytest.raises(ValueError, match="X has 5 features, but MnistGpuClassifier is expecting"):
        fitted.predict(X[:, :5])
    with pytest.raises(ValueError, match="fitted on features"):
        _ = fitted.model_


@pytest.mark.slow
def test_inside_the_tools_of_scikit_learn(wine):
    X, y = wine
    quick = MnistGpuClassifier(**QUICK | {"epochs": 15})
    pipeline = make_pipeline(StandardScaler(), quick)
    assert cross_val_score(pipeline, X, y, cv=3).mean() > 0.8
    grid = {"mnistgpuclassifier__hidden_dropout": [0.0, 0.2]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.8
    calibrated = CalibratedClassifierCV(quick, cv=2).fit(X, y)
    assert calibrated.predict_proba(X).shape == (178, 3)
    copy = clone(quick.set_params(ema=0.9))
    assert copy.get_params() == quick.get_params()
    assert "MnistGpuClassifier" in pipeline._repr_html_()


def test_joblib_keeps_what_it_answers_and_how_it_goes_on(wine):
    X, y = wine
    classifier = MnistGpuClassifier(**QUICK | {"epochs": 4}, warm_start=True).fit(X, y)
    file = io.BytesIO()
    joblib.dump(classifier, file)
    file.seek(0)
    loaded = joblib.load(file)
    assert np.array_equal(loaded.predict_proba(X), classifier.predict_proba(X))
    assert np.array_equal(loaded.fit(X, y).coefs_[0], classifier.fit(X, y).coefs_[0])


def test_callbacks_of_scikit_learn_see_each_epoch_and_may_stop(wine):
    pytest.importorskip("sklearn.callback", reason="scikit-learn is older than 1.9")
    X, y = wine
    seen = []

    class Three:
        def setup(self, estimator, context):
            seen.append("setup")

        def on_fit_task_begin(self, estimator, context):
            seen.append(f"begin {context.task_name}")

        def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
            if context.task_name == "epoch":
                seen.append(fitted_estimator.score(X, y))
            return context.task_name == "epoch" and context.task_id == 2

        def teardown(self, estimator, context):
            seen.append("teardown")

    classifier = MnistGpuClassifier(**QUICK).set_callbacks(Three()).fit(X, y)
    assert classifier.n_iter_ == 3
    scores = [each for each in seen if isinstance(each, float)]
    assert len(scores) == 3
    assert scores[2] == classifier.score(X, y)
    assert (seen[0], seen[-1]) == ("setup", "teardown")
    assert seen.count("begin epoch") == 3


@pytest.mark.parametrize("device", ["CPU_DEVICE", "device1"])
def test_arrays_of_another_library_come_back_as_such(wine, monkeypatch, device):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is missing")
    import sklearn

    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X, y = wine
    where = {"device": strict.Device(device)}
    there = strict.asarray(X, **where), strict.asarray(y, **where)
    names = np.array(["red", "rose", "white"])[y]
    quick = MnistGpuClassifier(**QUICK | {"epochs": 3})
    here = clone(quick).fit(X, y)
    with sklearn.config_context(array_api_dispatch=True):
        fitted = clone(quick).fit(*there, sample_weight=strict.ones(178, **where))
        for answers in (fitted.predict_proba(there[0]), fitted.predict(there[0])):
            assert type(answers).__module__.startswith("array_api_strict")
            assert answers.device == strict.Device(device)
        believed = fitted.predict_proba(there[0]).to_device(strict.Device("CPU_DEVICE"))
        of_names = clone(quick).fit(there[0], names).predict(there[0])
    assert np.array_equal(np.asarray(believed), here.predict_proba(X))
    assert set(of_names) <= {"red", "rose", "white"}  # which only NumPy can hold


@pytest.mark.slow
def test_scikit_learns_checks_of_arrays_of_other_libraries():
    """In a process of its own: SciPy reads SCIPY_ARRAY_API when it is imported."""
    pytest.importorskip("array_api_strict", reason="array-api-strict is missing")
    tests = "tests/interop/test_sklearn_checks.py"
    chosen = ["-k", "array_api_input and batches", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *chosen, tests],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.gpu
def test_arrays_of_cupy_are_answered_in_cupy(wine, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    cupy = pytest.importorskip("cupy")
    import sklearn

    X, y = wine
    X = X.astype(np.float32)
    here = MnistGpuClassifier(**QUICK | {"epochs": 5}).fit(X, y)
    with sklearn.config_context(array_api_dispatch=True):
        there = MnistGpuClassifier(**QUICK | {"epochs": 5}).fit(cupy.asarray(X), cupy.asarray(y))
        answers = there.predict_proba(cupy.asarray(X))
        labels = there.predict(cupy.asarray(X))
        assert isinstance(answers, cupy.ndarray)
        assert isinstance(labels, cupy.ndarray)
        np.testing.assert_allclose(cupy.asnumpy(answers), here.predict_proba(X), atol=2e-3)
        assert there.score(cupy.asarray(X), cupy.asarray(y)) == pytest.approx(
            here.score(X, y), abs=0.02
        )
        elsewhere = MnistGpuClassifier(**QUICK | {"epochs": 5}, backend="numpy")
        elsewhere.fit(cupy.asarray(X), cupy.asarray(y))
        assert isinstance(elsewhere.predict(cupy.asarray(X)), cupy.ndarray)
