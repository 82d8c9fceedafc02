"""Named settings that are known to work, from the tutorial's network to the record.

`docs/recipes.md` says how each was found, on held-out training images, and how much each part of it
adds; `benchmarks/recipes.py` measures the figures again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mnistgpu.errors import UsageError, did_you_mean
from mnistgpu.maths.augment import preset
from mnistgpu.maths.optimizers import OPTIMIZERS
from mnistgpu.settings import Settings, renamed


@dataclass(frozen=True)
class Recipe:
    """Settings, what they are for, and the accuracy and time to expect."""

    settings: Settings
    purpose: str
    expect: str


_COMMON = Settings().changed(
    init="he", optimizer="adam", schedule="linear", warmup=0.15, center=True, validation=0
)

_NORMALISED = _COMMON.changed(
    batch_size=200, learning_rate=0.003, warmup=0.05, center=False, batch_norm=True
)

_STRONG = _COMMON.changed(
    layers="784-1200-1200-10",
    batch_size=512,
    epochs=80,
    learning_rate=0.004,
    label_smoothing=0.03,
    min_ink=0.01,
    clean_ending=0.07,
    **preset("strong"),
)

RECIPES = {
    "classic": Recipe(
        Settings(),
        "The tutorial's network: 784-10-10, full-batch gradient descent.",
        "92.3% in half a minute on two cores",
    ),
    "fast": Recipe(
        _COMMON.changed(
            layers="784-192-96-10",
            batch_size=256,
            epochs=2,
            learning_rate=0.012,
            label_smoothing=0.05,
            min_ink=0.05,
        ),
        "A good network at once: two epochs of Adam on the pixels that carry ink.",
        "98.1% in half a second on two cores",
    ),
    "accurate": Recipe(
        _COMMON.changed(
            layers="784-512-512-10",
            batch_size=256,
            epochs=29,
            learning_rate=0.006,
            label_smoothing=0.05,
            min_ink=0.01,
            batch_norm=True,
            input_noise=0.3,
            hidden_noise=0.3,
        ),
        "The best without deformations in half a minute: batch normalisation and noise.",
        "98.9% in 25 seconds on two cores",
    ),
    "long": Recipe(
        _COMMON.changed(
            layers="784-800-800-10",
            batch_size=256,
            epochs=80,
            learning_rate=0.005,
            label_smoothing=0.05,
            min_ink=0.01,
            batch_norm=True,
            input_noise=0.3,
            hidden_noise=0.3,
        ),
        "`accurate` with wider layers and for longer, still without deformations.",
        "99.1% in two minutes on two cores",
    ),
    "pure": Recipe(
        _NORMALISED.changed(  # the layers, noise and cost of Rasmus et al. 2015
            layers="784-1000-500-250-250-250-10",
            epochs=100,
            input_noise=0.3,
            hidden_noise=0.3,
            denoising=1000.0,
        ),
        "Without deformations, and further than `long`: a decoder takes noise away again.",
        "99.4% in 20 to 30 minutes on two cores",
    ),
    "few": Recipe(
        _NORMALISED.changed(
            layers="784-1200-1200-10",
            epochs=30,
            consistency=1.0,
            information=0.3,
            **preset("strong") | {"images_per_map": 25},  # whole maps in the halves of a batch
        ),
        "Few labels, and many images without: give those with --unlabeled.",
        "99.0% with 100 labels of MNIST in 8 minutes on two cores",
    ),
    "strong": Recipe(
        _STRONG,
        "Every image deformed anew each epoch.",
        "99.5% in three minutes on two cores",
    ),
    "clothes": Recipe(
        _STRONG.changed(
            epochs=64,
            mirror=0.5,
            rotation=4.0,
            scaling=0.08,
            shear=0.05,
            shift=1.0,
            elastic=0.0,
            batch_norm=True,
            input_noise=0.1,
        ),
        "For pictures of things that may face left or right, as in Fashion-MNIST.",
        "91.8% of Fashion-MNIST in 7 minutes on two cores",
    ),
    "record": Recipe(
        _COMMON.changed(
            layers="784-2500-2000-1500-1000-500-10",
            batch_size=1024,
            epochs=300,
            learning_rate=0.001,
            label_smoothing=0.03,
            clean_ending=0.05,
            **(preset("ciresan") | {"images_per_map": 32, "shear": 0.15, "shift": 2.0}),
        ),
        "Ciresan's largest net, for a GPU.",
        "see docs/recipes.md",
    ),
}


def named(name: str) -> Recipe:
    """The recipe of that name; UsageError with the nearest name otherwise."""
    if not isinstance(name, str) or name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise UsageError(f"--recipe must be one of {', '.join(RECIPES)}, not {name!r}{hint}")
    return RECIPES[name]


def settings_of(
    recipe: str | None = None,
    deform: str | None = None,
    changes: Mapping[str, Any] | None = None,
    begun: Settings | None = None,
) -> Settings:
    """The settings of a recipe (None: classic), with named deformations and these changes.

    begun: the settings to begin with instead of those of the recipe.
    Another optimiser than that of the recipe has its customary learning rate if none is given: the
    rate of the recipe suits its own alone.
    """
    begun = begun or named("classic" if recipe is None else recipe).settings
    given = renamed(with_preset(deform, changes or {}))
    made = begun.changed(**given)
    if made.optimizer != begun.optimizer and "learning_rate" not in given:
        return made.changed(learning_rate=OPTIMIZERS[made.optimizer].rate)
    return made


def with_preset(deform: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes of settings, after those of a preset of deformations, if one is named."""
    return {**({} if deform is None else preset(deform)), **changes}
