"""The words of an experiment in another language, from a file of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mnistgpu.errors import DataError
from mnistgpu.web.experiments import claims
from mnistgpu.web.experiments.claims import Claim
from mnistgpu.web.experiments.experiment import Experiment, Shown
from mnistgpu.web.experiments.file import (
    TEXT,
    TEXTS,
    File,
    Key,
    check_names,
    lines_of,
    without_places,
)


def translated(experiment: Experiment, file: File, language: str) -> Experiment:
    """The experiment with the words of a file; DataError unless all of them are there."""
    keys = {"title": TEXT, "question": TEXT, "guesses": TEXTS, "explanation": TEXT}
    keys |= {"runs": Key(dict, "a table of texts, under [runs]"), "claims": TEXTS}
    keys |= {name: TEXTS for name in ("pictures", "curves") if getattr(experiment, name)}
    content = file.content
    file.check_keys(content, keys)
    for name in ("title", "question"):
        without_places(file, name, content[name])
    runs = content["runs"]
    if set(runs) != {run.name for run in experiment.runs} or not all(
        isinstance(says, str) and says for says in runs.values()
    ):
        names = ", ".join(f'{run.name} = "..."' for run in experiment.runs)
        raise DataError(f"{file.at('runs')}: [runs] must have the words of each run: {names}")
    changed: dict[str, Any] = {"guesses": lines_of(file, "guesses", content["guesses"])}
    if len(changed["guesses"]) != len(experiment.guesses):
        raise DataError(
            f"{file.at('guesses')}: must have {len(experiment.guesses)} guesses, in the order of "
            f"{experiment.path.name}"
        )
    for name in ("claims", "pictures", "curves"):
        own = getattr(experiment, name)
        words = content.get(name, [])
        if len(words) != len(own) or not all(isinstance(says, str) and says for says in words):
            raise DataError(
                f"{file.at(name)}: {name} must be a list of {len(own)} texts, in the order of "
                f"{experiment.path.name}"
            )
        pairs = zip(own, words, strict=True)
        changed[name] = tuple(with_says(each, says) for each, says in pairs)
        for says in words:
            check_names(claims.places(says, file.at(name)), experiment.runs, file.at(name))
    where = file.at("explanation")
    check_names(claims.places(content["explanation"], where), experiment.runs, where)
    return replace(
        experiment,
        title=content["title"],
        question=content["question"],
        explanation=content["explanation"].strip(),
        runs=tuple(run._replace(says=runs[run.name]) for run in experiment.runs),
        language=language,
        **changed,
    )


def with_says(given: Claim | Shown, says: str) -> Claim | Shown:
    """A claim, a picture or a curve with other words."""
    if isinstance(given, Shown):
        return given._replace(says=says)
    return replace(given, says=says)
