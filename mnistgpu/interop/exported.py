"""A trained network as all files for other programs hold it: layers, scaling, names, facts.

The file formats differ in their form alone: each is made of an `Exported`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mnistgpu import __version__
from mnistgpu.data.levels import OURS, Levels
from mnistgpu.engine import exact_inference
from mnistgpu.errors import RunError, UsageError
from mnistgpu.models.committee import Committee
from mnistgpu.models.model import Model
from mnistgpu.network import Layer

FORMAT = "mnistgpu-export"
INPUTS = {
    "uint8": "whole numbers, as the images of the training had them",
    "float": "floats from 0 to 1",
}


class Scaling(NamedTuple):
    """How the grey levels that a file takes become those that the network computes with.

    A level v counts as clip(round(255 (v - paper) / (ink - paper)), 0, 255) / 255. Of whole numbers
    from 0 (paper) to 255 (ink) that is v / 255: then `is_plain`.
    """

    paper: float
    ink: float
    is_plain: bool

    @property
    def factor(self) -> float:
        """255 divided by the distance of ink from paper."""
        return 255.0 / (self.ink - self.paper)

    def __str__(self) -> str:
        return f"{self.paper:g} is paper and {self.ink:g} is ink"


@dataclass(frozen=True, eq=False)
class Exported:
    """What a file for another program holds: the networks, whose mean probabilities are the answer.

    facts: what the file says about itself, as texts by name.
    """

    members: tuple[Model, ...]
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """How many pixels an image has."""
        return self.members[0].sizes[0]

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.members[0].image_shape

    @property
    def classes(self) -> tuple[str | int, ...]:
        """The name of each output."""
        first = self.members[0]
        return first.classes or tuple(range(first.sizes[-1]))

    @property
    def dtype(self) -> np.dtype[np.float32 | np.float64]:
        """The type to compute in: float64 if a member has such parameters, else float32."""
        return np.result_type(*(member.theta.dtype for member in self.members))

    @property
    def parameters(self) -> int:
        """How many weights and biases all members have."""
        return sum(len(member.theta) for member in self.members)

    @property
    def levels(self) -> Levels:
        """Paper and ink in the images of the training; ours if the members' differ."""
        return Committee(self.members).levels


def of(trained: Model | Committee, stopped: str = "") -> Exported:
    """The network or committee with its facts.

    stopped: how far the run was, such as "after 200 of 1,000 iterations"; "" if it was finished.
    UsageError for a committee that deforms its images, which no other program does; RunError for
    parameters that are not finite.
    """
    members: tuple[Model, ...]
    if isinstance(trained, Committee):
        if trained.maps:
            raise UsageError(
                f"this committee averages over {trained.maps} deformed copies of an image, which "
                "no other program makes; export a committee that was made with --maps 0"
            )
        members = trained.members
    else:
        members = (trained,)
    if not all(np.isfinite(each.theta).all() for each in members):
        raise RunError(
            "not exported, because the parameters are not finite; train with a smaller --alpha"
        )
    first = members[0]
    facts = {
        "format": FORMAT,
        "mnistgpu": __version__,
        "layers": " ".join("-".join(map(str, each.sizes)) for each in members),
        "activation": " ".join(each.activation for each in members),
        "image_shape": "x".join(map(str, first.image_shape)),
        "classes": json.dumps(list(first.classes or range(first.sizes[-1]))),
        "digest": " ".join(each.digest for each in members),
        "data_digest": " ".join(dict.fromkeys(each.data_digest for each in members)),
        "settings": json.dumps([each.settings for each in members], sort_keys=True),
    }
    if stopped:
        facts["stopped"] = stopped
    return Exported(members, facts)


def scaling(levels: Levels, kind: str) -> Scaling:
    """The scaling of images of a kind of INPUTS, for a network that was trained on such levels.

    Floats are from 0 to 1 and whole numbers from 0 to 255, unless the training had another scale
    that the kind can hold.
    """
    top = 1.0 if kind == "float" else 255.0
    if levels.top < top and (kind == "float" or levels.top >= 1.0):
        top = float(levels.top)
    own = (top, 0.0) if levels.is_white else (0.0, top)
    return Scaling(*own, is_plain=kind == "uint8" and Levels(*own) == OURS)


def layers_of(member: Model) -> list[Layer]:
    """[(W_1, b_1), ...] to compute with: W_l (n_l, n_{l-1}), b_l (n_l, 1), for pixels from 0 to 1.

    Those of an exact run are on the grids of its arithmetic, as they are when it answers.
    """
    if not member.is_exact:
        return member.layers
    (W, b), *others = exact_inference.rounded_layers(member.layers)
    return [(W * 255.0, b), *others]


def refuse_activation(name: str, ending: str) -> UsageError:
    """The error for an activation that files with an ending have no form of."""
    return UsageError(
        f"--activation {name}: {ending} files have no form of it; export to .npz or .json, which "
        "hold the parameters alone"
    )


def texts_of(numbers: np.ndarray) -> list[str]:
    """Numbers as the shortest decimals that give the same bits again, such as 0.1 or 1e-05."""
    return [str(number) for number in numbers.reshape(-1)]
