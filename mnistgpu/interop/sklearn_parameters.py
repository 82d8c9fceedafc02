"""The parameters of the estimator, made from `Settings`: a setting that is added is one of them."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from mnistgpu.data.splitting import number_of
from mnistgpu.errors import UsageError
from mnistgpu.settings import Settings

# What has another name or form in the estimator, and what belongs to files and runs
OWN = (
    *("layers", "seed", "class_weight", "test_share", "orientation", "from_run", "freeze"),
    *("unlabeled", "teacher"),
)
KNOBS = {knob.name: knob for knob in fields(Settings) if knob.name not in OWN}
# Where a classifier of tables begins elsewhere than the tutorial's network: as MLPClassifier does
DEFAULTS = {name: knob.default for name, knob in KNOBS.items()} | {
    "init": "glorot",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "epochs": 200,
    "iterations": None,
    "batch_size": 200,
    "validation": None,
}
# What the help texts of the command line say otherwise
TEXTS = {
    "epochs": "Passes through the rows; of full batches each is a step.",
    "iterations": "Number of steps, instead of the epochs.",
    "batch_size": "Rows of a step, at most as many as there are; None for all rows (full batch).",
    "validation": "Rows held out for the validation, drawn by the seed: a number, or a share such "
    "as 0.1; by default a tenth with early_stopping, else none.",
    "early_stopping": "Stop after this many epochs without a better validation accuracy, and "
    "answer by the best network.",
}
WIDTH = 92
HELD_OUT = 0.1  # of the rows, if early stopping needs some and no number is given


@contextlib.contextmanager
def kept_if_it_fails(estimator: object) -> Iterator[None]:
    """Within it, an error or Ctrl-C leaves what is fitted: labels and network are of one fit."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def with_parameters(estimator: type) -> None:
    """Give the class the parameters of the settings: their names, defaults and help texts.

    scikit-learn reads the signature, people the docstring; {parameters} there is replaced.
    """
    signature = inspect.signature(estimator.__init__)  # type: ignore[misc]
    own = [each for each in signature.parameters.values() if each.kind != each.VAR_KEYWORD]
    lines = []
    for name, default in DEFAULTS.items():
        own.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
        text = TEXTS.get(name, KNOBS[name].metadata["help"])
        indent = " " * 8
        text = textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent)
        lines.append(f"    {name} : {KNOBS[name].type}, default={default!r}\n{text}\n")
    estimator.__init__.__signature__ = signature.replace(parameters=own)  # type: ignore[misc]
    document = estimator.__doc__ or ""
    estimator.__doc__ = document.replace("    {parameters}\n", "\n".join(lines))


def settings_for(
    estimator: Any,
    count: int,
    features: int,
    epochs: int | None,
    validated: bool = False,
    others: int = 0,
) -> Settings:
    """The settings of a run of the estimator on so many rows, and others without labels.

    UsageError for a value that cannot be.
    """
    given: dict[str, Any] = {name: getattr(estimator, name) for name in DEFAULTS}
    if epochs is not None:
        given |= {"epochs": epochs, "iterations": None}
    elif given["iterations"] is not None:
        given["epochs"] = None
    if given["validation"] is None:
        given["validation"] = HELD_OUT if given["early_stopping"] and not validated else 0
    if validated:
        given["validation"] = 0
    balance = "none" if isinstance(estimator.class_weight, Mapping) else estimator.class_weight
    hidden = hidden_sizes(estimator.hidden_layer_sizes)
    layers = "-".join(map(str, (features, *hidden, len(estimator.classes_))))
    given |= {"layers": layers, "seed": seed_of(estimator.random_state), "class_weight": balance}
    made = Settings(unlabeled="X" if others else None, **given)
    left = others or max(1, count - number_of(made.validation, count))
    if made.batch_size is not None and made.batch_size > left:
        made = made.changed(batch_size=left)
    return made


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """The units of each hidden layer; UsageError if they are no numbers."""
    sizes = (given,) if isinstance(given, (int, np.integer)) else given
    listed = isinstance(sizes, (tuple, list, np.ndarray))
    if not listed or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
        raise UsageError(
            "hidden_layer_sizes: must be whole numbers of at least 1, such as (100,) or "
            f"(200, 100), not {given!r}"
        )
    return tuple(map(int, sizes))


def seed_of(random_state: Any) -> int:
    """A whole random_state as it is; else a number that it draws."""
    if isinstance(random_state, (int, np.integer)):
        return int(random_state)
    from sklearn.utils.validation import check_random_state

    return int(check_random_state(random_state).randint(2**31 - 1))
