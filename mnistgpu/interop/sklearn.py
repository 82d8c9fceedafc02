"""The network as a classifier of scikit-learn: `mnistgpu.MnistGpuClassifier`.

    from mnistgpu import MnistGpuClassifier

    classifier = MnistGpuClassifier(hidden_dropout=0.2, class_weight="balanced").fit(X, y)

The training is that of `mnistgpu.fit` and of the command line: the same settings and seed give the
same network, bit for bit. Needs the extra `sklearn`. `sklearn_parameters.py` makes the parameters
from `Settings`, `sklearn_arrays.py` has what becomes of X and y, `sklearn_callbacks.py` what is
called while the network learns.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mnistgpu import backend as backends
from mnistgpu import recipes
from mnistgpu.backend import Backend
from mnistgpu.contradictions import learns_without_labels
from mnistgpu.data import Dataset
from mnistgpu.engine.stepping import check_backend
from mnistgpu.errors import DataError, RunError, UsageError, did_you_mean
from mnistgpu.interop.sklearn_parameters import (
    DEFAULTS,
    kept_if_it_fails,
    settings_for,
    with_parameters,
)
from mnistgpu.models.model import Model
from mnistgpu.runs import training
from mnistgpu.runs.checks import check_fit
from mnistgpu.runs.history import Row
from mnistgpu.runs.progress import Display, Warnings, display_for_output

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import _check_partial_fit_first_call
    from sklearn.utils.validation import check_is_fitted

    from mnistgpu.interop import sklearn_arrays as arrays
    from mnistgpu.interop.sklearn_callbacks import CallbackSupportMixin, Learning, with_callbacks
except ImportError as error:
    raise RunError(
        f"MnistGpuClassifier needs scikit-learn 1.6 or newer ({error}): pip install -e '.[sklearn]'"
    ) from None


class MnistGpuClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A dense network with ReLU or other units and a softmax, as a classifier of scikit-learn.

    Rows of X are images if they are uint8 (grey levels, divided by 255), else features, taken as
    they are: scale them, as with StandardScaler. y has labels of any kind, numbers or strings. With
    `adversarial`, `consistency`, `denoising` or `information` above 0 the label -1 says that a row
    has none, as in sklearn.semi_supervised; the network learns from such rows, too, and needs some
    of each class with labels.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(100,)
        Units of each hidden layer; first and last layer follow the data.

    class_weight : dict, "balanced" or None, default=None
        How much each class counts, by its label. A class that is not named counts 1.

    random_state : int, RandomState instance or None, default=None
        The seed of all random numbers; the same as --seed of the command line.

    warm_start : bool, default=False
        Whether `fit` goes on from the network and the optimiser of the last `fit`.

    backend : str or None, default=None
        "numpy", "cupy", "cupy:1" or "auto". By default CuPy for arrays of CuPy, else what
        MNISTGPU_BACKEND says, or NumPy.

    image_shape : tuple of int or None, default=None
        Height and width of an image, for deformations; by default a square if the features fill
        one.

    verbose : bool, default=False
        Whether to print what the command line prints for each row of history.

    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; columns of `predict_proba` are in their order.

    loss_curve_ : list of float
        The mean loss of each epoch; of full batches, of each step.

    validation_loss_curve_, validation_scores_ : list of float
        Loss and accuracy on the rows held out; None without any.

    n_iter_ : int
        Epochs that the last `fit` took; of full batches, steps.

    n_features_in_ : int
        Number of features. `feature_names_in_` has their names, if X has some.

    coefs_, intercepts_ : list of ndarray
        Weights (n_inputs, n_units) and biases (n_units,) of each layer, as of MLPClassifier.

    model_ : Model
        The network to save, draw and export; only of one that was fitted on images.
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        class_weight: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        backend: str | Backend | None = None,
        image_shape: Any = None,
        verbose: bool = False,
        **settings: Any,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.backend = backend
        self.image_shape = image_shape
        self.verbose = verbose
        for name, default in DEFAULTS.items():
            setattr(self, name, settings.pop(name, default))
        for name in settings:
            hint = did_you_mean(name, DEFAULTS, "_")
            raise TypeError(f"MnistGpuClassifier has no parameter {name!r}{hint}")

    @classmethod
    def from_recipe(cls, recipe: str, **changes: Any) -> MnistGpuClassifier:
        """A classifier with the settings of a recipe, see `mnistgpu.RECIPES`, but for the changes.

        Its network is the one that `mnistgpu train --recipe` trains on the same images.
        """
        made = recipes.settings_of(recipe, None, {})
        given = {name: getattr(made, name) for name in DEFAULTS}
        given |= {"hidden_layer_sizes": made.sizes[1:-1], "random_state": made.seed}
        if changes.get("iterations") is not None:
            given["epochs"] = None
        return cls(**{**given, **changes})

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None
    ) -> MnistGpuClassifier:
        """Train a new network; with `warm_start`, go on with the last one.

        X : (n_samples, n_features). y : (n_samples,) labels. sample_weight : (n_samples,) of at
        least 0; rows of weight 0 are left out. X_val, y_val : rows for the validation, instead of
        a share of X. Raises ValueError for what cannot be learnt; the classifier is then as before.
        """
        with kept_if_it_fails(self):
            self._fit(X, y, sample_weight, X_val, y_val)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any) -> None:
        if (X_val is None) != (y_val is None):
            missing = "X_val" if X_val is None else "y_val"
            raise UsageError(f"{missing}: is missing; give both X_val and y_val, or neither")
        X, y = arrays.checked(self, X, y=y)
        labels = arrays.to_host(y, "y")
        labelled = arrays.labelled_rows(labels, learns_without_labels(self))
        if labelled is not None:
            labels = labels[labelled]
            if np.ndim(sample_weight) > 0:
                sample_weight = arrays.to_host(sample_weight, "sample_weight")[labelled]
        classes = arrays.classes_of(labels)
        goes_on = self.warm_start and hasattr(self, "_learnt")
        if goes_on:
            self._check_same(X, classes)
        else:
            self.classes_ = classes
        numbers = arrays.numbered(labels, self.classes_)
        weights = arrays.weights_of(sample_weight, self.class_weight, labels, self.classes_)
        held_out = None
        if X_val is not None:
            X_val, y_val = arrays.checked(self, X_val, y=y_val, reset=False)
            held_out = arrays.to_host(X_val, "X_val"), arrays.to_host(y_val, "y_val")
        self._train(X, numbers, weights, goes_on, held_out, labelled=labelled)

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> MnistGpuClassifier:
        """One epoch on these rows, in batches, from where the last call ended.

        classes : all labels that will ever come; needed in the first call. The rest is as for
        `fit`. Each call is a run of one epoch, over which schedule and warm-up extend.
        """
        if self.early_stopping is not None or self.validation:
            raise UsageError(
                "partial_fit holds nothing out: leave early_stopping and validation out, or use fit"
            )
        if self.class_weight == "balanced":
            raise UsageError(
                "partial_fit sees no whole set to balance: give class_weight={label: weight, ...}"
            )
        with kept_if_it_fails(self):
            self._fit_part(X, y, classes, sample_weight)
        return self

    def _fit_part(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> None:
        first = not hasattr(self, "_learnt")
        X, y = arrays.checked(self, X, y=y, reset=first)
        labels = arrays.to_host(y, "y")
        if classes is not None:
            listed = list(classes) if isinstance(classes, range) else classes
            classes = arrays.to_host(listed, "classes")
        if _check_partial_fit_first_call(self, classes):
            self.classes_ = arrays.classes_of(np.asarray(self.classes_))
        if not first:
            self._check_same(X, self.classes_)
        if arrays.labelled_rows(labels, learns_without_labels(self)) is not None:
            raise DataError(
                "y: partial_fit learns from labels alone, and the label -1 says that a row has "
                "none; leave such rows out, or give all rows to fit"
            )
        numbers = arrays.numbered(labels, self.classes_)
        weights = arrays.weights_of(sample_weight, self.class_weight, labels, self.classes_)
        self._train(X, numbers, weights, not first, None, epochs=1)

    @with_callbacks  # type: ignore[untyped-decorator]
    def _train(
        self,
        X: Any,
        numbers: np.ndarray,
        weights: np.ndarray | None,
        goes_on: bool,
        held_out: Any,
        epochs: int | None = None,
        labelled: np.ndarray | None = None,
    ) -> None:
        """Train on checked rows, and keep what is learnt. labelled: which rows have the numbers."""
        rows, names, others = arrays.to_host(X, "X"), arrays.names_of(self.classes_), None
        chosen = self._backend_for(X)
        shape = arrays.image_shape_of(self.image_shape, rows.shape[1])
        if labelled is not None:
            rows, others = rows[labelled], rows[~labelled]
            X = rows
        count = len(rows) if weights is None else int(np.count_nonzero(weights))
        without = 0 if others is None else len(others)
        settings = settings_for(self, count, rows.shape[1], epochs, held_out is not None, without)
        how = names, shape, settings.dtype
        train = arrays.digits_of(rows, numbers, weights, *how, alone=epochs is not None)
        if others is not None:
            train = arrays.with_others(train, others, settings.dtype)
        validation = None
        if held_out is not None:
            X_val, y_val = held_out
            if (X_val.dtype == np.uint8) != (rows.dtype == np.uint8):
                raise DataError("X_val: must be of the type of X, both uint8 or both floats")
            of_val = arrays.numbered(y_val, self.classes_, "y_val")
            of_class = arrays.weights_of(None, self.class_weight, y_val, self.classes_)
            validation = arrays.digits_of(X_val, of_val, of_class, *how, "X_val", alone=True)
        self._is_grey = rows.dtype == np.uint8
        kind = Dataset if self._is_grey else arrays.Features
        dataset = kind(train, None, "X", validation)
        check_fit(settings, dataset)
        check_backend(settings, chosen)
        y, before = self.classes_[numbers], self._learnt if goes_on else None
        learning = Learning(self, X, y, weights, settings, shape, before, epochs is not None)
        display = display_for_output() if self.verbose else Warnings()
        if epochs is not None and not self.verbose:
            display = Display()  # a part of the rows may well lack classes, or look untypical
        with display:
            outcome = training.train(settings, dataset, chosen, [display, learning])
        self._keep(outcome.model, learning, outcome.history, validation is not None)
        learning.finish()

    def _keep(self, network: Model, learning: Learning, history: list[Row], held_out: bool) -> None:
        """The fitted attributes of a network, and what it goes on from."""
        self._network, self._learnt = network, learning.learnt
        rows = [row for row in history if learning.is_epoch(row)]
        self.loss_curve_ = [row.train_loss for row in rows]
        held_out = held_out or not math.isnan(rows[-1].validation_loss)
        self.validation_loss_curve_ = [row.validation_loss for row in rows] if held_out else None
        self.validation_scores_ = [row.validation_accuracy for row in rows] if held_out else None
        self.n_iter_ = learning.count(rows[-1])

    def _backend_for(self, X: Any) -> Backend:
        """Where it computes: as the parameter says, else where X is."""
        if isinstance(self.backend, Backend):
            return self.backend
        on_gpu = arrays.is_cupy(X) and self.backend is None
        return backends.select("cupy" if on_gpu else self.backend)

    def _check_same(self, X: Any, classes: np.ndarray) -> None:
        """UsageError unless a run on X can go on from what is learnt."""
        if self.center or self.min_ink > 0:
            raise UsageError(
                "center and min_ink are measured on all rows to train on, so fitting cannot go on "
                "with other rows; leave them out with warm_start and partial_fit"
            )
        if not np.isin(classes, self.classes_).all():
            unknown = classes[~np.isin(classes, self.classes_)][0]
            raise DataError(f"y: label {unknown} is none of the classes of the first fit")
        if (X.dtype == arrays.kinds_of(X)[-1]) != self._is_grey:
            raise DataError("X: must be of the type of the first fit, uint8 or floats")
        if X.shape[1] != self._network.sizes[0]:
            raise DataError(
                f"X has {X.shape[1]} features, but the first fit had {self._network.sizes[0]}"
            )

    def _answering(self, network: Model) -> dict[str, Any]:
        """The attributes with which a copy of this classifier answers by a network."""
        return {"_network": network, "_is_grey": self._is_grey}

    def predict_proba(self, X: Any) -> Any:
        """The probability of each of `classes_`: (n_samples, n_classes), an array as X is."""
        check_is_fitted(self, "_network")
        X = arrays.checked(self, X, reset=False)
        network, backend = self._network, self._backend_for(X)
        grey, exact, dtype = self._is_grey, network.is_exact, network.theta.dtype.name
        rows = arrays.rows_to_answer(X, grey, exact, dtype, backend)
        found = network.probabilities(rows, backend).T
        if arrays.is_cupy(X) and backend.name == "cupy":
            return found
        return arrays.like(backend.to_numpy(found), X)

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of `predict_proba`."""
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # a probability may have become 0
            return arrays.namespace_of(found).log(found)

    def predict(self, X: Any) -> Any:
        """The most probable label of each row: (n_samples,), as X is unless labels are strings."""
        found = self.predict_proba(X)
        places = arrays.to_host(arrays.namespace_of(found).argmax(found, axis=1), "the answers")
        return arrays.labels_like(self.classes_[places], found)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Weights (n_inputs, n_units) of each layer."""
        return [W.T for W, _ in self._fitted().layers]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Biases (n_units,) of each layer."""
        return [b[:, 0] for _, b in self._fitted().layers]

    @property
    def model_(self) -> Model:
        """The network as `mnistgpu.save`, `mnistgpu.evaluate` and the commands take it.

        UsageError if it was fitted on features, which are no grey levels.
        """
        if not self._is_grey_fitted():
            raise UsageError(
                "model_: this classifier was fitted on features, and a model reads images; fit it "
                "on grey levels from 0 to 255 as uint8, or keep the classifier with joblib.dump"
            )
        return self._network

    def _fitted(self) -> Model:
        """The network; NotFittedError, which is also an AttributeError, if there is none."""
        check_is_fitted(self, "_network")
        return self._network

    def _is_grey_fitted(self) -> bool:
        return bool(self._fitted() and self._is_grey)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


with_parameters(MnistGpuClassifier)
