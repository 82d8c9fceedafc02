"""Two networks side by side: the settings of the page's run, and the same with one difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mnistgpu.data import Dataset
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import Settings
from mnistgpu.web import words
from mnistgpu.web.experiments.experiment import Experiment, Run
from mnistgpu.web.experiments.running import Result, train_one
from mnistgpu.web.refusals import refusal

# what may differ, in the order of the page
DIFFERENCES = ("seed", "activation", "rate", "zero", "unscaled")
MOST_FURTHER = 999


def differences(settings: Settings) -> list[dict[str, Any]]:
    """What may differ from these settings: names, with the value to begin with if one is asked."""
    others = [name for name in ACTIVATIONS if name != settings.activation]
    first = {"seed": "1", "activation": others[0], "rate": f"{10 * settings.learning_rate:g}"}
    return [
        {
            "name": name,
            "value": first.get(name),
            "names": others if name == "activation" else None,
        }
        for name in DIFFERENCES
    ]


def pair_of(
    settings: Settings, difference: str, value: str, language: str, images: int
) -> Experiment:
    """The two runs, as an experiment without a question; RefusedError for a wrong value.

    images: how many there are to train on. The second run has the same images in the same order,
    and, but where the seed differs, the same first weights.
    """
    changed, twists = settings, dict[str, Any]()
    if difference == "seed":
        twists = {"other-first-weights": whole(value)}
    elif difference == "activation":
        changed = settings.changed(activation=value)
    elif difference == "rate":
        changed = settings.changed(learning_rate=number(value))
    else:
        twists = {"zero": {"zero-weights": True}, "unscaled": {"unscaled-pixels": True}}[difference]
    texts = words.read(language)
    says = texts[f"beside.second_{difference}"].format(value=value)
    return Experiment(
        name="beside",
        title=texts["beside.title"],
        question="",
        guesses=(),
        right=0,
        explanation="",
        runs=(
            Run("first", texts["beside.first"], settings, {}, images),
            Run("second", says, changed, twists, images),
        ),
        claims=(),
        pictures=(),
        curves=(),
        language=language,
        path=Path("beside"),
    )


def trained(
    pair: Experiment,
    dataset: Dataset,
    callbacks: Callable[[str], Iterable[Callback]],
    stop: Stop,
) -> Result:
    """Train both networks, one after the other, on the images of the page's run, on NumPy.

    callbacks: called with the name of each run before it begins, for what `train` is to call.
    StoppedError if `stop` asks for it.
    """
    begun, seed = time.perf_counter(), pair.runs[0].settings.seed
    judged = replace(dataset, test=dataset.test or dataset.train)
    runs = [train_one(each, seed, judged, callbacks(each.name), stop) for each in pair.runs]
    return Result(pair, seed, tuple(runs), time.perf_counter() - begun)


def whole(value: str) -> int:
    """How much higher the other seed is; RefusedError if this is no such number."""
    if not (value.isascii() and value.isdecimal() and 0 < int(value[:9]) <= MOST_FURTHER):
        raise refusal(422, "beside.wrong_seed", most=MOST_FURTHER)
    return int(value)


def number(value: str) -> float:
    """The learning rate in a text; RefusedError if this is no number."""
    try:
        return float(value.strip().replace(",", "."))
    except ValueError:
        raise refusal(422, "beside.wrong_rate") from None
