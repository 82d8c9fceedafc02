"""Experiments from their TOML files; a sentence, with the place, for what is wrong with one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistgpu.errors import DataError, UsageError, did_you_mean
from mnistgpu.knobs import check_value
from mnistgpu.recipes import settings_of
from mnistgpu.runs import twists
from mnistgpu.runs.events import KNOBS
from mnistgpu.settings import LENGTHS, renamed
from mnistgpu.storage import files
from mnistgpu.web.experiments import claims, words
from mnistgpu.web.experiments.experiment import Experiment, Run, Shown
from mnistgpu.web.experiments.file import (
    TEXT,
    TEXTS,
    WHOLE,
    File,
    Key,
    check_names,
    check_run,
    lines_of,
    without_places,
)
from mnistgpu.web.experiments.numbers import CURVES, PICTURES

HERE = Path(__file__).parent
FEWEST_IMAGES = 10  # to train on
MOST_IMAGES = 59_000  # the last 1,000 of MNIST's training images are for validation
PIXELS, CLASSES = 784, 10
KEYS = {
    "title": TEXT,
    "question": TEXT,
    "guesses": TEXTS,
    "right": WHOLE,
    "explanation": TEXT,
    "images": WHOLE._replace(needed=False),
    "settings": Key(dict, "a table, under [settings]", False),
    "runs": Key(dict, "tables, each under [runs.NAME]"),
    "claims": Key(list, "tables, each under [[claims]]"),
    "pictures": Key(list, "tables, each under [[pictures]]", False),
    "curves": Key(list, "tables, each under [[curves]]", False),
}
# Settings that an experiment has no use for, and what there is instead
NOT_HERE = {
    "seed": "whoever runs the experiment chooses it",
    "validation": "the last 1,000 of MNIST's training images are always held out",
    "test_share": "the test images are always MNIST's",
    "orientation": "the images are always MNIST's",
    "from_run": "an experiment begins with first weights",
    "freeze": "an experiment begins with first weights",
    "graph": "an experiment runs on every machine",
}


def read(path: Path | str, language: str = "en") -> Experiment:
    """The experiment in a TOML file, with the words of a language if they are there.

    They are in a second file beside it: `name.de.toml` has the German words of `name.toml`, which
    may be in any language itself. DataError, with the line where it is known, for whatever is wrong
    in either; UsageError for a language that is not written so.
    """
    path = Path(path)
    if not re.fullmatch("[a-z]{2,3}", language):
        raise UsageError(f"language: must be two or three letters, such as de, not {language!r}")
    if path.suffix != ".toml" or is_of_language(path):
        raise DataError(
            f"{path}: the name of an experiment must end in .toml and have no other dot; a file "
            "such as name.de.toml has words of another language"
        )
    name = re.sub(r"^[0-9]+-", "", path.stem)
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name):
        raise DataError(
            f"{path}: the name of an experiment must be of small letters a to z and digits, joined "
            "by -, such as 13-my-question.toml"
        )
    file = File(path)
    file.check_keys(file.content, KEYS)
    experiment = made(file, name)
    translated = path.with_name(f"{path.stem}.{language}.toml")
    if files.is_file(translated):
        experiment = words.translated(experiment, File(translated), language)
    return experiment


def is_of_language(path: Path) -> bool:
    """Whether a file has the words of another language: name.de.toml."""
    return "." in path.stem


def found(
    folder: Path | str | None = None, language: str = "en"
) -> tuple[list[Experiment], list[str]]:
    """The experiments in a folder, by the names of their files, and a sentence for each bad file.

    None: those that come with the package. DataError if the folder is not there.
    """
    experiments: dict[str, Experiment] = {}
    problems = []
    folder = HERE if folder is None else Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; give one with experiments, files such as a.toml"
        )
    for path in sorted(folder.glob("*.toml")):
        try:
            if is_of_language(path):
                of = path.with_name(f"{path.stem.partition('.')[0]}.toml")
                if not files.is_file(of):
                    raise DataError(f"{path}: has words of {of.name}, which is not there")
                continue
            experiment = read(path, language)
            if experiment.name in experiments:
                other = experiments[experiment.name].path.name
                raise DataError(f"{path}: has the name of {other}; choose another")
            experiments[experiment.name] = experiment
        except DataError as error:
            problems.append(str(error))
    if not experiments and not problems:
        problems.append(f"{folder}: has no experiments, which are files such as a.toml")
    return list(experiments.values()), problems


def made(file: File, name: str) -> Experiment:
    """The experiment of a file whose keys are those of KEYS."""
    content = file.content
    guesses = lines_of(file, "guesses", content["guesses"])
    for key, text in (("title", content["title"]), ("question", content["question"])):
        without_places(file, key, text)
    if len(guesses) < 2 or not 1 <= content["right"] <= len(guesses):
        raise DataError(
            f"{file.at('right')}: right must be the number of a guess, from 1 to {len(guesses)}, "
            "and there must be two guesses at least"
        )
    images = images_in(file, content, 5000)
    runs = tuple(
        run_of(file, each, content["runs"][each], content.get("settings", {}), images)
        for each in content["runs"]
    )
    made_claims = []
    for i, given in enumerate(tables(file, "claims"), 1):
        file.check_keys(given, {"check": TEXT, "says": TEXT}, "claims", i)
        where = file.at("check", "claims", i)
        made_claims.append(claims.claim(given["says"], given["check"], where))
        check_names(made_claims[-1].names, runs, where)
        check_names(claims.places(given["says"], where), runs, where)
    where = file.at("explanation")
    check_names(claims.places(content["explanation"], where), runs, where)
    return Experiment(
        name,
        content["title"],
        content["question"],
        guesses,
        content["right"],
        content["explanation"].strip(),
        runs,
        tuple(made_claims),
        shown(file, "pictures", PICTURES, runs),
        shown(file, "curves", CURVES, runs),
        "en",
        file.path,
    )


def images_in(file: File, given: Mapping[str, Any], default: int, table: str = "") -> int:
    """How many images a file or a run of it says that there are to train on."""
    images = given.get("images", default)
    if type(images) is not int or not FEWEST_IMAGES <= images <= MOST_IMAGES:
        raise DataError(
            f"{file.at('images', table)}: images must be a whole number from {FEWEST_IMAGES} to "
            f"{MOST_IMAGES}, not {images}"
        )
    return images


def run_of(file: File, name: str, given: Any, common: Mapping[str, Any], images: int) -> Run:
    """The run of a table [runs.NAME], with the settings that all runs have in common."""
    table = f"runs.{name}"
    if not isinstance(given, dict) or not re.fullmatch("[a-z][a-z0-9-]*", name):
        raise DataError(
            f"{file.at(name, 'runs')}: {table} must be a table such as [runs.plain], its name of "
            "small letters, digits and -"
        )
    own = dict(given)
    says, twisted = own.pop("says", None), own.pop("twists", {})
    if not isinstance(says, str) or not says:
        raise DataError(
            f'{file.at("says", table)}: [{table}] needs says = "...", what this run is in words'
        )
    without_places(file, "says", says, table)
    if not isinstance(twisted, dict):
        raise DataError(
            f"{file.at('twists', table)}: [{table}] twists need a value each, such as "
            "twists.zero-weights = true"
        )
    for twist, value in twisted.items():
        try:
            twists.check({twist: value})
        except UsageError as error:
            raise DataError(f"{file.at(f'twists.{twist}', table)}: {error}") from None
    together = settings_in(file, common, "settings")
    images = images_in(file, own, images, table)
    own.pop("images", None)
    further = settings_in(file, own, table)
    if any(name in further for name in LENGTHS):
        together = {key: value for key, value in together.items() if key not in LENGTHS}
    try:
        settings = settings_of(changes={**together, **further, "validation": 0})
    except UsageError as error:
        raise DataError(f"{file.at('', table)}: [{table}] {error}") from None
    if settings.sizes[0] != PIXELS or settings.sizes[-1] != CLASSES:
        raise DataError(
            f"{file.at('layers', table)}: [{table}] layers must begin with {PIXELS} pixels and end "
            f"with {CLASSES} digits, such as 784-10-10, not {settings.layers}"
        )
    return Run(name, says, settings, twisted, images)


def settings_in(file: File, given: Mapping[str, Any], table: str) -> dict[str, Any]:
    """Settings by their own names; DataError, with the line, for one that is none or is wrong."""
    settings: dict[str, Any] = {}
    for key, value in given.items():
        where = file.at(key, table)
        try:
            plain = renamed({key: value})
            if not NOT_HERE.keys() & plain:
                for name, checked in plain.items():
                    check_value(KNOBS[name], checked)
        except UsageError as error:
            hint = f"; write {key} above the first table" if key in KEYS else ""
            raise DataError(f"{where}: [{table}] {error}{hint}") from None
        for name in plain:
            if name in NOT_HERE:
                raise DataError(f"{where}: [{table}] leave {key} out: {NOT_HERE[name]}")
        settings |= plain
    return settings


def tables(file: File, key: str) -> list[dict[str, Any]]:
    """The tables [[key]] of a file; DataError if they are written otherwise."""
    given: list[Any] = file.content.get(key, [])
    if not all(isinstance(each, dict) for each in given):
        raise DataError(f"{file.at(key)}: {key} must be {KEYS[key].words}")
    return given


def shown(file: File, key: str, known: Collection[str], runs: Sequence[Run]) -> tuple[Shown, ...]:
    """The pictures or the curves of a file."""
    made = []
    for i, given in enumerate(tables(file, key), 1):
        file.check_keys(given, {"shows": TEXT, "says": TEXT}, key, i)
        where = file.at("shows", key, i)
        name = claims.named(given["shows"], where)
        check_run(name, runs, where)
        if name.number not in known or name.argument is not None:
            hint = did_you_mean(name.number, known, "_")
            raise DataError(
                f"{where}: there is no {name} among the {key}: after the name of the run, choose "
                f"one of {', '.join(known)}{hint}"
            )
        check_names(claims.places(given["says"], where), runs, where)
        made.append(Shown(given["says"], name))
    return tuple(made)
