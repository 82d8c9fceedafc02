"""The parameters of the estimator, made from `Settings`: a setting that is added is one of them."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import fields

from mnistgpu.settings import Settings

# What has another name or form in the estimator, and what belongs to files and runs
OWN = ("layers", "seed", "class_weight", "test_share", "orientation", "from_run", "freeze")
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
