"""Runs an experiment: trains its networks, puts numbers in its words, judges its claims."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mnistgpu import data
from mnistgpu.backend import NUMPY, Array
from mnistgpu.data import Dataset, Digits
from mnistgpu.data.splitting import selection
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import BackendError, DataError, DivergedError, UsageError
from mnistgpu.models.model import Model
from mnistgpu.reports.side_by_side import SideBySide, side_by_side
from mnistgpu.runs import twists
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress, Row, as_columns
from mnistgpu.runs.stop import Stop
from mnistgpu.runs.training import train
from mnistgpu.web.encoded import as_text, finite
from mnistgpu.web.experiments.claims import Claim, Name, Term, filled, total
from mnistgpu.web.experiments.experiment import Experiment, Run, Shown
from mnistgpu.web.experiments.numbers import CURVES, NUMBERS, PICTURES, Trained, written
from mnistgpu.web.experiments.reading import read

HELD_OUT = 1000  # of MNIST's training images, the last ones, for the validation
MOST_SECONDS = 20.0  # of an experiment on two cores
MOST_SHOWN = 20  # images that two networks answer differently


class Kept(Callback):
    """Keeps what is left of a run if it diverges: its network at the last row, and its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def begin(self, trainer: Trainer, progress: Progress, stop: Stop) -> None:
        self.trainer, self.history = trainer, progress.history
        self.theta = np.array(trainer.backend.to_numpy(trainer.plain()))

    def row(self, row: Row, theta: Array) -> None:
        """Keep the parameters. A sync point, as the row was."""
        self.theta = np.array(self.trainer.backend.to_numpy(theta))

    def warning(self, sentence: str) -> None:
        self.warnings.append(sentence)


@dataclass(frozen=True, eq=False)
class Result:
    """An experiment that has run: its runs in their order, and what they say about its claims."""

    experiment: Experiment
    seed: int
    runs: tuple[Trained, ...]
    seconds: float

    def of(self, name: Name) -> Trained:
        """The run that a number, a picture or a curve is of."""
        names = [run.name for run in self.experiment.runs]
        return self.runs[names.index(name.run)]

    @cached_property
    def numbers(self) -> dict[str, float | None]:
        """The numbers that the experiment names, by their names; None for one that there is not."""
        found: dict[str, float | None] = {}
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverged
            for name in self.experiment.names():
                argument = () if name.argument is None else (name.argument,)
                value = NUMBERS[name.number].value(self.of(name), *argument)
                known = value is not None and math.isfinite(value)
                found[str(name)] = value if known else None
        return found

    @cached_property
    def texts(self) -> dict[str, str]:
        """The same numbers as they stand in a text of the experiment's language."""
        language = self.experiment.language
        return {
            str(name): written(self.numbers[str(name)], NUMBERS[name.number].kind, language)
            for name in self.experiment.names()
        }

    @property
    def explanation(self) -> list[str]:
        """The paragraphs of the explanation, with the numbers of these runs."""
        paragraphs = self.experiment.explanation.split("\n\n")
        return [" ".join(filled(each, self.texts).split()) for each in paragraphs if each.strip()]

    @property
    def failed(self) -> list[Claim]:
        """The claims that these runs do not bear out."""
        return [each for each in self.experiment.claims if not each.holds(self.numbers)]

    def judged(self, claim: Claim) -> dict[str, Any]:
        """A claim with the numbers of these runs, and whether it holds."""
        left, right = (self.side(terms) for terms in (claim.left, claim.right))
        return {
            "says": filled(claim.says, self.texts),
            "check": claim.check,
            "found": f"{left} {claim.comparison} {right}",
            "holds": claim.holds(self.numbers),
        }

    def side(self, terms: Sequence[Term]) -> str:
        """One side of a claim as a number."""
        named = [each.value for each in terms if isinstance(each.value, Name)]
        kinds = ["share" for each in terms if each.is_share]
        kinds = [NUMBERS[name.number].kind for name in named] or kinds or ["count"]
        value = total(terms, self.numbers)
        kind = kinds[0]
        if not named and kind == "count" and value != round(value):
            kind = "decimal"
        known = None if math.isnan(value) else value
        return written(known, kind, self.experiment.language)

    @cached_property
    def beside(self) -> SideBySide | None:
        """The answers of two runs to the test images side by side; None of more or fewer runs."""
        if len(self.runs) != 2:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            first, second = (run.model.probabilities(run.test.images) for run in self.runs)
        return side_by_side(first, second, self.runs[0].right_labels)

    def as_dict(self) -> dict[str, Any]:
        """What is shown of it, as JSON types; images as bytes in base64, 0 paper and 255 ink."""
        return {
            "name": self.experiment.name,
            "seed": self.seed,
            "seconds": self.seconds,
            "numbers": self.numbers,
            "texts": self.texts,
            "explanation": self.explanation,
            "claims": [self.judged(each) for each in self.experiment.claims],
            "runs": [
                described(run, trained)
                for run, trained in zip(self.experiment.runs, self.runs, strict=True)
            ],
            "pictures": [self.picture(each) for each in self.experiment.pictures],
            "curves": [self.curve(each) for each in self.experiment.curves],
            "beside": None if self.beside is None else self.differences(self.beside),
        }

    def picture(self, shown: Shown) -> dict[str, Any]:
        """A picture with its words; its pixels are None if there is none."""
        run = self.of(shown.name)
        image = PICTURES[shown.name.number](run)
        says = filled(shown.says, self.texts)
        return {"name": str(shown.name), "says": says, **pixels(image, run.test)}

    def curve(self, shown: Shown) -> dict[str, Any]:
        """A curve with its words."""
        values = CURVES[shown.name.number](self.of(shown.name))
        says = filled(shown.says, self.texts)
        return {"name": str(shown.name), "says": says, "x": list(range(len(values))), "y": values}

    def differences(self, beside: SideBySide) -> dict[str, Any]:
        """Where two runs answer differently, with the images on which both are surest."""
        test = self.runs[0].test
        return {
            "images": len(beside.labels),
            "accuracies": list(beside.accuracies),
            "different": len(beside.different),
            "counts": beside.counts,
            "shown": [
                {
                    "index": int(at),
                    "label": int(beside.labels[at]),
                    "answers": beside.answers[:, at].tolist(),
                    "probabilities": finite(beside.confidence[:, at].tolist()),
                    **pixels(test.images[at], test),
                }
                for at in beside.different[:MOST_SHOWN]
            ],
        }


def described(run: Run, trained: Trained) -> dict[str, Any]:
    """A run of a result, as JSON types."""
    return {
        "name": run.name,
        "says": run.says,
        "history": finite(as_columns(trained.history)),
        "test_accuracy": NUMBERS["test_accuracy"].value(trained),
        "diverged_at": trained.diverged_at,
        "warnings": trained.warnings,
    }


def pixels(image: np.ndarray | None, digits: Digits) -> dict[str, Any]:
    """An image (pixels,) with levels from 0 to 255, for JSON."""
    height, width = digits.image_shape
    content = None if image is None else as_text(image)
    return {"height": height, "width": width, "pixels": content}


def run(
    experiment: Experiment,
    seed: int = 0,
    mnist: Dataset | None = None,
    callbacks: Callable[[str], Iterable[Callback]] | None = None,
    stop: Stop | None = None,
) -> Result:
    """Train the networks of an experiment, one after the other, on NumPy.

    mnist: MNIST as `data.load()` gives it, which is read here by default, or another set.
    callbacks: called with the name of each run before it begins, for what `train` is to call. stop:
    ends the experiment with StoppedError. A run that diverges is part of the result. DataError if
    the settings of a run do not fit its images.
    """
    started = time.perf_counter()
    mnist = data.load() if mnist is None else mnist
    stop = Stop() if stop is None else stop
    trained = []
    for each in experiment.runs:
        further = () if callbacks is None else callbacks(each.name)
        try:
            trained.append(train_one(each, seed, images_of(each, mnist), further, stop))
        except (BackendError, UsageError) as error:
            raise DataError(f"{experiment.path}: [runs.{each.name}] {error}") from None
    return Result(experiment, seed, tuple(trained), time.perf_counter() - started)


def images_of(run: Run, dataset: Dataset) -> Dataset:
    """The images of a run: the first ones to train on, the last 1,000 for the validation.

    Of a smaller set than MNIST a tenth is for the validation, unless it has such images already; a
    set without a test part is tested on these, too.
    """
    train, validation = dataset.train, dataset.validation
    place = np.arange(len(train))
    end = len(train)
    if validation is None:
        end -= min(HELD_OUT, max(1, len(train) // 10))
        validation = selection(train, place >= end, "held out")
    first = selection(train, place < min(run.images, end), "to train on")
    test = validation if dataset.test is None else dataset.test
    return replace(dataset, train=first, validation=validation, test=test)


def train_one(
    run: Run, seed: int, dataset: Dataset, callbacks: Iterable[Callback], stop: Stop
) -> Trained:
    """One run of an experiment, on its images."""
    settings = run.settings.changed(seed=seed)
    if dataset.validation is not None:  # none are held out of those to train on
        settings = settings.changed(validation=0)
    changed, of_twists = twists.applied(run.twists, dataset, seed)
    kept = Kept()
    every = [*of_twists, kept, *callbacks]
    try:
        outcome = train(settings, changed, NUMPY, every, stop)
    except DivergedError as error:
        shape = changed.train.image_shape
        left = Model(kept.theta, settings.sizes, shape, settings.activation)
        warnings = [*kept.warnings, str(error)]
        return Trained(settings, changed, left, kept.history, kept.trainer.taken, warnings)
    return Trained(settings, changed, outcome.model, outcome.history, None, kept.warnings)


def check(path: Path | str, seeds: Sequence[int] = (0, 1, 2)) -> list[str]:
    """A sentence for everything that an experiment in a file does not show, run with each seed.

    [] if every claim holds and it takes no longer than 20 seconds. DataError if it cannot be read
    or run.
    """
    experiment, mnist = read(path), data.load()
    found = []
    for seed in seeds:
        result = run(experiment, seed, mnist)
        for claim in result.failed:
            judged = result.judged(claim)
            found.append(
                f"{path}: with seed {seed} this does not hold: {judged['says']} "
                f"({claim.check}: {judged['found']})"
            )
        if result.seconds > MOST_SECONDS:
            found.append(
                f"{path}: takes {result.seconds:.0f} s with seed {seed}, and may take "
                f"{MOST_SECONDS:.0f}; give it fewer images, epochs or units"
            )
    return found
