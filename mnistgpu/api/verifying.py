"""Train an exact run again (`verify`), here and with whatever is here, and compare the digests."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mnistgpu import data
from mnistgpu.api.inputs import AnyPath, backend_of, data_of_run, is_count, is_number
from mnistgpu.api.job import display_of
from mnistgpu.backend import Backend
from mnistgpu.data import Dataset
from mnistgpu.engine.stepping import check_backend, stepping
from mnistgpu.engine.trainer import Trainer
from mnistgpu.errors import DataError, UsageError
from mnistgpu.runs import checkpoint, digests, run_directory, training
from mnistgpu.runs.events import Events
from mnistgpu.runs.history import COLUMNS, Row
from mnistgpu.runs.progress import Display, introduction
from mnistgpu.storage import files


@dataclass(frozen=True)
class Verification:
    """Whether a run that was trained again has the same bits.

    same: whether all that was compared is equal. steps: how many were taken. expected, found: the
    last digests that were compared. sentence: the result in words, and where the first difference
    is, if there is one.
    """

    same: bool
    steps: int
    expected: str
    found: str
    sentence: str

    def __bool__(self) -> bool:
        return self.same


def verify(
    run: AnyPath,
    X: Any = None,
    y: Any = None,
    *,
    test: Any = None,
    validation: Any = None,
    backend: str | Backend | None = None,
    steps: int | None = None,
    progress: bool | Display | None = None,
) -> Verification:
    """Train the exact run in a directory again, and say whether its digest is the same here.

    run: the directory of a run with precision="exact"; nothing in it is changed. X, y, test,
    validation: its data, if it was begun with arrays; otherwise they are read from where they were.
    backend: as for `fit`, and not that of the run. steps: only its first steps, which are compared
    after step 1, 2, 5, 10, 20, 50, ...; by default all of it, its history too. progress: as for
    `fit`.

    Raises UsageError if the run is not exact, DataError if it is not finished (and `steps` is not
    given), was trained by another version of exact arithmetic or on other data.
    """
    if steps is not None and (not is_count(steps) or steps < 1):
        raise UsageError(f"--steps must be a whole number of at least 1, not {steps!r}")
    directory, display = files.path_of(run, "run"), display_of(progress)
    saved = checkpoint.load(directory)
    if not saved.settings.is_exact:
        raise UsageError(
            f"{directory}: was trained with --precision {saved.settings.precision}, whose bits "
            "depend on the machine, so there is nothing to verify; train with --precision exact"
        )
    pair = None if validation is None or is_number(validation) else validation
    dataset = data_of_run(saved, directory, X, y, test, pair)
    chosen = backend_of(backend)
    check_backend(saved.settings, chosen)
    for line in introduction(saved.settings, dataset, chosen):
        display.note(line)
    if steps is not None and (steps < saved.taken or not saved.progress.finished):
        return first_steps(saved, dataset, chosen, steps)
    return whole(directory, saved, dataset, chosen, display)


def first_steps(
    saved: checkpoint.Checkpoint, dataset: Dataset, backend: Backend, steps: int
) -> Verification:
    """Take the first steps of the run again, and compare the digests on the way."""
    known, found, compared = saved.progress.digests, "", 0
    events = saved.progress.events
    training_digits, _ = data.split(dataset.train, saved.settings.validation, saved.settings.seed)
    trainer = Trainer(events.settings(0), training_digits, backend)
    steps = min(steps, events.steps(steps, len(training_digits)))
    while trainer.taken < steps:
        end = min(steps, events.after(trainer.taken) or steps)
        with trainer.engine.running(), stepping(trainer) as step:
            while trainer.taken < end:
                mark = digests.next_mark(trainer.taken, trainer.steps)
                batches = trainer.batches
                left = batches.per_epoch - batches.place(trainer.taken) % batches.per_epoch
                step(most=min(mark, end) - trainer.taken if left > 1 else 1)
                taken = trainer.taken
                if taken not in known:
                    continue
                found, compared = digests.digest(trainer), taken
                if found != known[taken]:
                    sentence = (
                        f"different: after step {taken:,} the digest is {found}, not {known[taken]}"
                    )
                    return Verification(False, taken, known[taken], found, sentence)
            found = digests.digest(trainer)
        trainer.change(events.settings(end), events.shift(end, len(training_digits)))
    expected = known.get(steps, found)
    sentence = (
        f"the same after step {compared:,} and before, as far as digests were kept; after step "
        f"{steps:,} the digest is {found}"
    )
    return Verification(True, steps, expected, found, sentence)


def whole(
    directory: Path,
    saved: checkpoint.Checkpoint,
    dataset: Dataset,
    backend: Backend,
    display: Display,
) -> Verification:
    """Train the run to its end again, and compare its digests and its history."""
    if not saved.progress.finished or not files.is_file(directory / "results.json"):
        raise DataError(
            f"{directory}: is not finished, so there is no digest of its end yet; finish it with "
            f"`mnistgpu train --resume {directory}`, or verify its first steps with --steps"
        )
    expected = str(run_directory.read_results(directory / "results.json").get("digest"))
    # without the workers that shared the steps: another machine, such as a GPU, has not as many
    events = Events(saved.settings, list(saved.progress.events.all))
    with display:
        outcome = training.train(saved.settings, dataset, backend, [display], events=events)
    found, steps = outcome.results["digest"], outcome.results["iterations"]
    why = ""
    for step, digest in saved.progress.digests.items():
        if outcome.results["digests"].get(str(step)) != digest:
            why = f"; the first difference is at step {step:,} or shortly before"
            break
    if steps != saved.taken:
        why += f"; {directory} was ended after {saved.taken:,} steps, and this run after {steps:,}"
    rows = run_directory.read_rows(directory / "history.csv")
    unequal = [
        (row or other)
        for row, other in zip_longest(rows, outcome.history)
        if row is None or other is None or figures(row) != figures(other)
    ]
    if found != expected:
        sentence = f"different: the digest is {found} here, and {expected} in {directory}{why}"
    elif unequal:
        at = unequal[0].iteration
        sentence = f"different: the digest is the same, but history.csv is not at iteration {at:,}"
    else:
        sentence = f"the same: the digest is {found}, and every figure of history.csv is equal"
    return Verification(found == expected and not unequal, steps, expected, found, sentence)


def figures(row: Row) -> str:
    """A row but for its seconds, as text: so nan equals nan."""
    return repr([getattr(row, name) for name in COLUMNS if name != "seconds"])
