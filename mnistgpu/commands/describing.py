"""`mnistgpu recipes`: the named settings, with what each is for."""

from __future__ import annotations

from mnistgpu.recipes import RECIPES


def recipes(json: bool) -> None:
    """Print the recipes, two lines each, or as JSON."""
    if json:
        from mnistgpu.commands.output import as_json

        print(as_json(RECIPES))
        return
    for name, recipe in RECIPES.items():
        print(f"{name:<9} {recipe.purpose}")
        print(f"{'':<9} {recipe.settings.layers}; {recipe.expect}")
