"""The controls of the lab's page: which settings it shows, in which groups, with their ranges."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from mnistgpu.knobs import Check
from mnistgpu.settings import Settings

# The groups of controls in their order: whether their settings may change while a run goes on
# (those of the others begin a new run), whether the page shows them open, and their settings.
GROUPS: dict[str, tuple[bool, bool, tuple[str, ...]]] = {
    "learning": (True, True, ("learning_rate", "momentum", "batch_size")),
    "regularisation": (
        True,
        False,
        (
            *("l2", "weight_decay", "hidden_dropout", "input_dropout"),
            *("input_noise", "hidden_noise", "label_smoothing"),
        ),
    ),
    "deformation": (
        True,
        False,
        (
            *("rotation", "rotation_1_7", "scaling", "shear", "shift", "mirror"),
            *("elastic", "elastic_sigma", "images_per_map"),
        ),
    ),
    "network": (
        False,
        False,
        (
            *("layers", "activation", "init", "seed", "iterations", "epochs"),
            *("optimizer", "schedule", "warmup", "batch_norm", "center", "precision"),
        ),
    ),
}
KINDS = {"int": "whole", "float": "number", "str": "text", "bool": "switch"}
# beyond this a control of the page cannot be set, though a flag can: such a network would not be
# ready, and could not be shown, while one looks at it
MOST_UNITS = 4096


def groups() -> list[dict[str, Any]]:
    """The groups of controls, as JSON types for the page."""
    knobs = {knob.name: knob for knob in fields(Settings)}
    return [
        {
            "name": name,
            "live": live,
            "open": shown,
            "controls": [control_of(knobs[each]) for each in names],
        }
        for name, (live, shown, names) in GROUPS.items()
    ]


def control_of(knob: Field[Any]) -> dict[str, Any]:
    """What the page must know of a setting to make its control and to say its range."""
    types = str(knob.type).split(" | ")
    check: Check | None = knob.metadata["check"]
    choices = list(check.names) if check is not None else []
    return {
        "name": knob.name,
        "kind": "choice" if choices else KINDS[types[0]],
        "names": choices,
        "none": "None" in types,
        "low": None if check is None else check.low,
        "high": None if check is None else check.high,
        "above": check is not None and check.open_low,
    }


def names() -> set[str]:
    """The settings that the page has controls for."""
    return {name for _, _, group in GROUPS.values() for name in group}
