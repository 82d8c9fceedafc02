"""`mnistgpu recipes` and `lr-find`: settings to begin with."""

from __future__ import annotations

from pathlib import Path

from mnistgpu import backend as backends
from mnistgpu import recipes
from mnistgpu.commands.beginning import dataset_for
from mnistgpu.errors import UsageError
from mnistgpu.runs import lr_finder
from mnistgpu.settings import Settings


def list_recipes() -> None:
    """Print the named recipes."""
    for name, recipe in recipes.RECIPES.items():
        print(f"{name:<9} {recipe.purpose}")
        print(f"{'':<9} {recipe.settings.layers}; {recipe.expect}")


def lr_find(
    settings: Settings, data: Path | None, backend: str | None, steps: int, out: Path, force: bool
) -> None:
    """Search a learning rate, print it, and draw the losses at all rates (PNG)."""
    from mnistgpu.reports import plots, study_plots

    if out.exists() and not force:
        raise UsageError(f"--out {out}: the file exists; choose another or add --force")
    dataset = dataset_for(settings, data)
    curve = lr_finder.find(settings, dataset, backends.select(backend), steps=steps)
    plots.save(study_plots.learning_rates(curve.rates, curve.losses, curve.suggestion), out)
    print(f"suggested --alpha {curve.suggestion:.2g}; the curve is in {out}")
