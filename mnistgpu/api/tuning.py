"""A small search for good settings on held-out images (`tune`), by successive halving."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import Field, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from mnistgpu.api.inputs import AnyPath, backend_of, directory_of, is_number, settings_and_data
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.data.mapped import MappedImages
from mnistgpu.data.splitting import number_of
from mnistgpu.engine.stepping import check_backend
from mnistgpu.errors import DataError, DivergedError, OutOfMemoryError, RunError, UsageError
from mnistgpu.runs import checks, halving, training
from mnistgpu.runs.callbacks import Callback
from mnistgpu.runs.history import Progress
from mnistgpu.runs.stop import Stop
from mnistgpu.settings import LENGTHS, Settings, renamed
from mnistgpu.storage import files, lock

FILE, BEST = "tune.json", "tuned.toml"
MARK = b'{\n  "search":'
TOML_MARK = b"# Found by mnistgpu tune"
HELD_OUT = 0.1  # of the training images, if no other number is given
OVER = "the time of the search is over"


@dataclass(frozen=True)
class Trial:
    """A run of the search: which candidate, for how many epochs, and what it gave.

    seconds: of the whole run, of which loop_seconds went by in its steps. problem: why it has no
    figures; "" if it has.
    """

    candidate: int
    epochs: int
    validation_accuracy: float
    validation_loss: float
    seconds: float
    loop_seconds: float
    problem: str = ""

    @property
    def score(self) -> tuple[float, float]:
        """Accuracy and loss, by which trials are ranked."""
        return self.validation_accuracy, self.validation_loss


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found.

    settings: the best, with the epochs that it was trained for. trials: all runs in their order.
    candidates: the settings that were tried; the first are those it began with. path: the file of
    the best settings, for `train --settings` and `fit(**...)`.
    """

    settings: Settings
    best: Trial
    trials: list[Trial]
    candidates: list[Settings]
    path: Path


def tune(
    X: Any = None,
    y: Any = None,
    *,
    minutes: float,
    out: AnyPath,
    recipe: str = "fast",
    validation: Any = None,
    backend: str | Backend | None = None,
    seed: int = 0,
    stop: Stop | None = None,
    on_trial: Callable[[Trial, Settings], object] | None = None,
    **settings: Any,
) -> Tuned:
    """Search good settings for these data: learning rate, width, noise, deformations yes or no.

    X, y, validation: as for `fit`; a tenth of the training images is held out if no number is
        given and the data bring no validation images. The test images are not looked at.
    minutes: how long the search may take. recipe: where it begins. settings: what is not searched,
        such as activation="tanh"; a setting that is given is fixed.
    out: the directory of the search: tune.json has every run as soon as it is finished, so that the
        same call goes on where it was stopped; tuned.toml has the best settings, for `train
        --settings`. seed: of the search, and of its runs.
    on_trial: called with each run and its settings, when it is finished or was before.

    Raises what `fit` raises, and RunError if there is no time for a single run.
    """
    if not is_number(minutes) or not 0 < minutes < math.inf:
        raise UsageError(f"--minutes must be a number greater than 0, not {minutes!r}")
    path, chosen = directory_of(out), backend_of(backend)
    fixed = renamed(settings)
    for name in LENGTHS:
        if name in fixed:
            raise UsageError(f"--{name}: is what the search decides; leave it out")
    if fixed.get("teacher") or fixed.get("unlabeled"):
        raise UsageError("tune: takes neither --teacher nor --unlabeled; leave them out")
    if fixed.get("from_run"):
        raise UsageError("tune: every run of it begins with first weights; leave --from out")
    if fixed.get("early_stopping") is not None:
        raise UsageError(
            "tune: how long a run takes is what the search decides; leave --early-stopping out"
        )
    made, dataset = settings_and_data(X, y, recipe, None, fixed | {"seed": seed}, None, validation)
    dataset = replace(dataset, test=None)
    if dataset.validation is None:
        made = holding_out(made, dataset, given=validation is not None)
    base = beginning(made, dataset)
    checks.check_fit(base, dataset)
    check_backend(base, chosen)
    for name, mark in ((FILE, MARK), (BEST, TOML_MARK)):
        files.check_replaceable("--out", path / name, mark)
    files.make_directory(path)
    with lock.only_writer(path):
        files.remove_leftovers(path, (FILE, BEST))
        search = Search(path, base, dataset, chosen, 60.0 * minutes, fixed, stop, on_trial)
        return search.run()


def holding_out(made: Settings, dataset: Dataset, given: bool) -> Settings:
    """The settings with images held out: as many as are given, or a tenth. UsageError for none."""
    none = "but the accuracy on such images is what the search goes by; "
    if isinstance(dataset.train.images, MappedImages):
        raise UsageError(
            f"--validation: the images of {dataset.source} stay in their files, and none of them "
            f"can be held out, {none}make the set with validation images of its own"
        )
    if not given:
        made = made.changed(validation=number_of(HELD_OUT, len(dataset.train)))
    if made.validation == 0:
        raise UsageError(
            f"--validation: no image would be held out, {none}hold out some, such as "
            "--validation 0.1"
        )
    return made


def beginning(made: Settings, dataset: Dataset) -> Settings:
    """The first candidate: a run of one epoch, of batches that the data fill."""
    left = len(dataset.train) - int(made.validation)
    return made.changed(epochs=1, batch_size=min(made.batch_size or 256, left), early_stopping=None)


class OutOfTimeError(Exception):
    """The time of a run is over."""


class Limit(Callback):
    """Ends a run with OutOfTimeError at a time of `clock`."""

    def __init__(self, until: float):
        self.until = until

    def step(self, trainer: Any, progress: Progress) -> None:
        if clock() > self.until:
            raise OutOfTimeError


def clock() -> float:
    """Seconds since some moment."""
    return time.monotonic()


class Search:
    """A search in a directory, whose runs are read again if they were finished before."""

    def __init__(
        self,
        path: Path,
        base: Settings,
        dataset: Dataset,
        backend: Backend,
        seconds: float,
        fixed: Mapping[str, Any],
        stop: Stop | None,
        on_trial: Callable[[Trial, Settings], object] | None,
    ):
        self.path, self.base, self.dataset, self.backend = path, base, dataset, backend
        self.seconds, self.stop, self.on_trial = seconds, stop, on_trial
        self.deforms = dataset.train.images.dtype == "uint8" and min(dataset.train.image_shape) > 7
        deforming = vars(base.deformation)
        self.fixed = [*fixed, *(["deformation"] if set(deforming) & set(fixed) else [])]
        self.record = {"settings": base.as_dict(), "fixed": sorted(fixed), "data": dataset.digest}
        self.before = self.read()
        self.trials: list[Trial] = []

    def read(self) -> list[Trial]:
        """The runs that were finished before. UsageError if they are of another search."""
        path = self.path / FILE
        if not path.exists():
            return []
        record = files.read_json(path)
        if record.get("search") != json.loads(json.dumps(self.record)):
            raise UsageError(
                f"{path}: a search of other data or from other settings is there; choose another "
                "--out"
            )
        names = {each.name for each in fields(Trial)}
        found = record.get("trials")
        if not isinstance(found, list) or not all(
            isinstance(each, dict) and set(each) == names for each in found
        ):
            raise DataError(f"{path}: its trials are not what mnistgpu writes; remove the file")
        return [Trial(**each) for each in found]

    def run(self) -> Tuned:
        """All rungs; the best candidate of the last that has a run."""
        first = self.trial(0, 1, self.base)
        if first.problem:
            is_over = first.problem == OVER
            raise RunError(
                f"--minutes {self.seconds / 60:g}: one epoch of {self.base.layers} on "
                f"{len(self.dataset.train):,} images did not end well ({first.problem}); "
                f"{'give more time, or a smaller --recipe' if is_over else 'give other settings'}"
            )
        per_run, per_epoch = first.seconds - first.loop_seconds, max(first.loop_seconds, 1e-3)
        rungs = halving.plan(self.seconds - first.seconds, per_epoch, per_run)
        count = rungs[0].candidates if rungs else 1
        seed = self.base.seed
        settings = halving.candidates(self.base, count, seed, self.fixed, self.deforms)
        alive, best = list(range(count)), first
        costs = [rung.seconds(per_epoch, per_run) for rung in rungs]
        for number, rung in enumerate(rungs, 1):
            until = self.seconds * sum(costs[:number]) / sum(costs)
            scores: dict[int, tuple[float, float]] = {}
            found: dict[int, Trial] = {}
            for candidate in alive[: rung.candidates]:
                if scores and self.spent() > until:
                    break
                trial = self.trial(candidate, rung.epochs, settings[candidate])
                if not trial.problem:
                    found[candidate], scores[candidate] = trial, trial.score
            if not found:
                break
            alive = halving.ranked(scores)
            best = found[alive[0]]
        chosen = settings[best.candidate].changed(epochs=best.epochs)
        files.replace_bytes(self.path / BEST, toml_of(chosen, best).encode())
        return Tuned(chosen, best, self.trials, settings, self.path / BEST)

    def spent(self) -> float:
        """Seconds that the runs so far have taken, also those of an earlier call."""
        return sum(each.seconds for each in self.trials)

    def trial(self, candidate: int, epochs: int, settings: Settings) -> Trial:
        """A run of a candidate, or what it gave before."""
        which = (candidate, epochs)
        for trial in self.trials:  # the first may be one of the first rung, too
            if (trial.candidate, trial.epochs) == which:
                return trial
        found = [each for each in self.before if (each.candidate, each.epochs) == which]
        if found and not self.has_more_time(found[0]):
            trial = found[0]
        else:
            trial = self.train(candidate, epochs, settings.changed(epochs=epochs))
            self.before = [*(each for each in self.before if each not in found), trial]
            record = {"search": self.record, "trials": [asdict(one) for one in self.before]}
            files.replace_json(self.path / FILE, record)
        self.trials.append(trial)
        if self.on_trial is not None:
            self.on_trial(trial, settings.changed(epochs=epochs))
        return trial

    def has_more_time(self, trial: Trial) -> bool:
        """Whether a run whose time was over can now take longer than it took then."""
        return trial.problem == OVER and self.seconds - self.spent() > trial.seconds

    def train(self, candidate: int, epochs: int, settings: Settings) -> Trial:
        """Train a candidate on the images that are not held out. StoppedError if `stop` asks."""
        begun = clock()
        limit = Limit(begun + self.seconds - self.spent())
        problem, accuracy, loss, loop_seconds = "", 0.0, math.inf, 0.0
        try:
            outcome = training.train(settings, self.dataset, self.backend, [limit], self.stop)
            row = outcome.history[-1]
            accuracy, loss = row.validation_accuracy, row.validation_loss
            loop_seconds = outcome.results["seconds"]
        except OutOfTimeError:
            problem = OVER
        except (DivergedError, OutOfMemoryError) as error:
            problem = str(error)
        figures = accuracy, min(loss, 1e30), clock() - begun, loop_seconds
        return Trial(candidate, epochs, *figures, problem)


def toml_of(settings: Settings, best: Trial) -> str:
    """The settings that are not the usual ones, as TOML for --settings."""
    usual = Settings()
    lines = [
        TOML_MARK.decode() + f": {best.validation_accuracy:.2%} of the held-out images",
        "# mnistgpu train --settings tuned.toml --data ...",
    ]
    for knob in fields(Settings):
        value = getattr(settings, knob.name)
        usual_one = value == getattr(usual, knob.name) and knob.name != "layers"
        if value is None or usual_one or knob.name == "validation":
            continue
        lines.append(f"{knob.name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def differing(candidates: list[Settings]) -> list[Field[Any]]:
    """The settings in which candidates differ, in the order of `Settings`."""
    knobs = [knob for knob in fields(Settings) if knob.name != "epochs"]
    return [knob for knob in knobs if len({getattr(each, knob.name) for each in candidates}) > 1]
