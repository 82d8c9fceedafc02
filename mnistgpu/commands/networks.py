"""What the arguments of a command name: a trained network, labelled digits."""

from __future__ import annotations

from pathlib import Path

from mnistgpu import data, models
from mnistgpu.data import Digits
from mnistgpu.errors import UsageError
from mnistgpu.models import committee, model
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model


def load(run: Path) -> Model | Committee:
    """The network or committee in a directory or a file; "shipped" is the package's network."""
    return committee.load(models.SHIPPED if str(run) == "shipped" else run)


def member(run: Path) -> Model:
    """One network to join a committee; UsageError for a committee."""
    found = load(run)
    if not isinstance(found, model.Model):
        raise UsageError(f"{run}: a committee cannot join another; name its members")
    return found


def labelled_digits(path: Path | None, classes: int) -> Digits:
    """The digits at path with their labels, or the embedded test set; UsageError without labels."""
    digits = data.load().test if path is None else data.load_digits(path, classes)
    if digits is None or digits.labels is None:
        raise UsageError(f"{path}: these images have no labels to compare with; use predict")
    return digits
