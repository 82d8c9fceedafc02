"""The settings and the digits that `train` and `lr-find` begin with.

This module imports little, so that digits can be read while the larger modules are imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mnistgpu import data as readers
from mnistgpu import recipes
from mnistgpu.data import Dataset
from mnistgpu.maths import augment
from mnistgpu.settings import Settings


def with_preset(deform: str | None, changes: dict[str, Any]) -> dict[str, Any]:
    """Changes of settings, after those of a preset of deformations, if one is named."""
    return changes if deform is None else augment.preset(deform) | changes


def settings_of(recipe: str | None, deform: str | None, changes: dict[str, Any]) -> Settings:
    """The settings of a recipe (None: classic) with these changes."""
    return recipes.named(recipe or "classic").settings.changed(**with_preset(deform, changes))


def dataset_for(settings: Settings, data: str | Path | None) -> Dataset:
    """The digits at a path (None: the embedded MNIST), checked for a network of these settings."""
    dataset = readers.load(data, classes=max(10, settings.sizes[-1]))
    _ = dataset.digest  # computed here, since `train` calls this in a thread beside its imports
    return dataset
