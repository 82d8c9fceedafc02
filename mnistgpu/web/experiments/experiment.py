"""What an experiment is: a question, guesses, runs, and what they must show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mnistgpu.settings import Settings
from mnistgpu.web.experiments import claims
from mnistgpu.web.experiments.claims import Claim, Name


class Run(NamedTuple):
    """A run of an experiment: its name in claims, what it is in words, how it is trained."""

    name: str
    says: str
    settings: Settings
    twists: Mapping[str, Any]
    images: int  # to train on, the first ones of MNIST's


class Shown(NamedTuple):
    """A picture or a curve of a run, and the words beside it."""

    says: str
    name: Name


@dataclass(frozen=True)
class Experiment:
    """A question, guesses to choose from, and the runs that answer it.

    right: the number of the guess that turns out right, from 1. explanation and the words of claims
    and pictures have places for numbers of the runs, such as {zero.test_accuracy}.
    language: of the words.
    """

    name: str
    title: str
    question: str
    guesses: tuple[str, ...]
    right: int
    explanation: str
    runs: tuple[Run, ...]
    claims: tuple[Claim, ...]
    pictures: tuple[Shown, ...]
    curves: tuple[Shown, ...]
    language: str
    path: Path

    def as_dict(self) -> dict[str, Any]:
        """What is shown of it before it runs, as JSON types."""
        return {
            "name": self.name,
            "title": self.title,
            "question": self.question,
            "guesses": list(self.guesses),
            "right": self.right,
            "runs": [{"name": run.name, "says": run.says} for run in self.runs],
            "language": self.language,
        }

    def texts(self) -> list[str]:
        """All words that have places for numbers."""
        of_claims = [each.says for each in self.claims]
        of_shown = [each.says for each in (*self.pictures, *self.curves)]
        return [self.explanation, *of_claims, *of_shown]

    def names(self) -> list[Name]:
        """The numbers that its words and claims name, each once."""
        of_texts = [name for text in self.texts() for name in claims.places(text, str(self.path))]
        return list(dict.fromkeys([*of_texts, *(name for c in self.claims for name in c.names)]))
