"""Every setting of a run, once: the Python argument, the flag, its help and what is saved.

A run is a function of its settings and its data. `Settings()` is the network of the documents.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import Field, asdict, dataclass, field, fields, replace
from typing import Any

from mnistgpu.errors import DataError, UsageError, did_you_mean
from mnistgpu.maths.augment import Deformation

Check = tuple[Callable[[Any], bool], str, tuple[str, ...]]  # a test, in words, the names allowed


def number(low: float, high: float = math.inf, *, open_low: bool = False) -> Check:
    """A finite number from low (excluded if open_low) up to and without high."""

    def test(value: float) -> bool:
        finite = abs(value) <= sys.float_info.max  # also for an int no float can hold, or nan
        return finite and low <= value < high and not (open_low and value == low)

    if high < math.inf:
        return test, f"a number from {low:g} up to, but not, {high:g}", ()
    return test, f"a finite number {'greater than' if open_low else 'of at least'} {low:g}", ()


def whole(low: int, high: int | None = None) -> Check:
    """An integer of at least low, and below high if given."""
    bound = f" and below {high:,}" if high is not None else ""
    words = f"a whole number of at least {low}{bound}"
    return lambda value: low <= value and (high is None or value < high), words, ()


def one_of(*names: str) -> Check:
    """One of these names."""
    return lambda value: value in names, "one of " + ", ".join(names), names


def setting(
    default: Any, help: str, check: Check | None = None, flags: tuple[str, ...] = ()
) -> Any:
    """A field of Settings with its help text, its check and any flags besides --its-name."""
    return field(default=default, metadata={"help": help, "check": check, "flags": flags})


@dataclass(frozen=True)
class Settings:
    """How to train. Frozen and checked when made; `dataclasses.replace` makes a changed copy."""

    layers: str = setting("784-10-10", "Layer sizes, from the pixels to the classes.")
    activation: str = setting(
        "relu",
        "What hidden units do with their sums.",
        one_of("relu", "leaky-relu", "tanh", "scaled-tanh", "sigmoid", "gelu"),
    )
    init: str = setting(
        "uniform",
        "First weights: uniform in [-0.5, 0.5), he (normal, for relu) or glorot (normal).",
        one_of("uniform", "he", "glorot"),
    )
    batch_norm: bool = setting(False, "Normalise the sums of hidden units over each shard.")

    iterations: int | None = setting(
        2000, "How many steps to take (or give --epochs).", whole(1, 10**12)
    )
    epochs: int | None = setting(
        None, "How often to go through the training images, instead.", whole(1, 10**9)
    )
    batch_size: int | None = setting(
        None, "Images per step; without it every step uses all of them (full batch).", whole(1)
    )
    validation: int = setting(
        1000, "How many training images to hold out, drawn by the seed.", whole(0)
    )
    seed: int = setting(
        0, "Decides first weights, batches, held-out images and all noise.", whole(0, 2**63)
    )
    precision: str = setting(
        "float32",
        "Numbers of the arithmetic; tf32 and bf16 (a GPU's) round products.",
        one_of("float32", "float64", "tf32", "bf16"),
    )

    graph: bool = setting(
        False, "Record a step as a CUDA graph and replay it (a GPU's; not yet seen on one)."
    )

    optimizer: str = setting(
        "gradient-descent",
        "How a gradient becomes a step; adam with --weight-decay is AdamW.",
        one_of("gradient-descent", "momentum", "nesterov", "adam"),
    )
    learning_rate: float = setting(
        0.5,
        "alpha, the length of a step at its longest.",
        number(0, open_low=True),
        ("--alpha",),
    )
    schedule: str = setting(
        "constant",
        "How the learning rate falls.",
        one_of("constant", "linear", "cosine", "step", "exponential", "one-cycle"),
    )
    warmup: float = setting(
        0.0, "Share of the steps over which the learning rate first rises.", number(0, 1)
    )
    weight_decay: float = setting(
        0.0, "Share of each weight, times the learning rate, lost at each step.", number(0)
    )
    l2: float = setting(
        0.0,
        "Penalty l2/2 * sum of squared weights, in the gradient but not in the loss shown.",
        number(0),
    )
    clip_norm: float | None = setting(
        None, "Longest gradient; longer ones are shortened to it.", number(0, open_low=True)
    )
    max_norm: float | None = setting(
        None, "Longest vector of weights into one unit.", number(0, open_low=True)
    )
    ema: float | None = setting(
        None, "Keep a moving average of the weights, with this decay per step.", number(0, 1)
    )
    early_stopping: int | None = setting(
        None,
        "Stop after so many epochs (for full batches: iterations) without a better validation "
        "accuracy, which is looked at with every row of history.",
        whole(1),
    )

    label_smoothing: float = setting(
        0.0, "Share of the target spread over all classes.", number(0, 1)
    )
    input_noise: float = setting(
        0.0, "Standard deviation of normal noise on the pixels (ink is 1).", number(0)
    )
    hidden_noise: float = setting(
        0.0, "Standard deviation of normal noise on the sums of hidden units.", number(0)
    )
    input_dropout: float = setting(0.0, "Share of pixels dropped at each step.", number(0, 1))
    hidden_dropout: float = setting(
        0.0, "Share of hidden units dropped at each step.", number(0, 1)
    )
    center: bool = setting(False, "Subtract the mean training image.")
    min_ink: float = setting(
        0.0, "Leave out pixels inked in no more than this share of the images.", number(0, 1)
    )

    rotation: float = setting(0.0, "Rotate images by up to so many degrees.", number(0, 180))
    rotation_1_7: float | None = setting(
        None, "The limit for the digits 1 and 7, if another.", number(0, 180)
    )
    scaling: float = setting(0.0, "Stretch each axis by up to this share.", number(0, 1))
    shear: float = setting(0.0, "Slant by up to so many pixels a pixel.", number(0, 2))
    shift: float = setting(0.0, "Shift by up to so many pixels along each axis.", number(0, 28))
    elastic: float = setting(
        0.0, "Elastic distortion: displace pixels by up to this, root mean square.", number(0, 28)
    )
    elastic_sigma: float = setting(
        4.0, "How far elastic displacements reach, in pixels.", number(0, 28, open_low=True)
    )
    images_per_map: int = setting(32, "Images that share one deformation.", whole(1))
    clean_ending: float = setting(
        0.0, "Share of the steps, at the end, without deformation.", number(0, 1)
    )

    def __post_init__(self) -> None:
        for knob in fields(self):
            value = getattr(self, knob.name)
            check: Check | None = knob.metadata["check"]
            _refuse_wrong_type(knob, value)
            if value is not None and check and not check[0](value):
                hint = did_you_mean(value, check[2])
                raise UsageError(f"{flags_of(knob)[0]} must be {check[1]}, not {value!r}{hint}")
        if self.epochs is not None:  # asked for, while iterations has a default
            object.__setattr__(self, "iterations", None)
        elif self.iterations is None:
            raise UsageError("give --iterations or --epochs")
        _ = self.sizes
        if self.learning_rate * self.weight_decay >= 1:
            raise UsageError(
                f"--weight-decay {self.weight_decay:g} times --alpha {self.learning_rate:g} must "
                "be less than 1: that share of each weight is lost at a step"
            )

    @property
    def dtype(self) -> str:
        """The type of the parameters: tf32 and bf16 are roundings of float32 in products alone."""
        return "float64" if self.precision == "float64" else "float32"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The layer sizes as numbers: "784-10-10" is (784, 10, 10)."""
        parts = self.layers.split("-")
        well_formed = all(re.fullmatch("0{0,9}[1-9][0-9]{0,8}", part) for part in parts)
        if not (2 <= len(parts) <= 100 and well_formed):
            raise UsageError(
                f"--layers must be two or more sizes (at most 100) joined by '-', such as "
                f"784-128-10, not {self.layers[:60]!r}"
            )
        sizes = tuple(int(part) for part in parts)
        if sizes[-1] < 2:
            raise UsageError(
                "--layers must end with the number of classes, at least 2, not "
                f"{self.layers[:60]!r}"
            )
        return sizes

    @property
    def deformation(self) -> Deformation:
        """The settings of deformations together."""
        return Deformation(**{knob.name: getattr(self, knob.name) for knob in fields(Deformation)})

    def changed(self, **changes: Any) -> Settings:
        """A copy with these settings changed; iterations and epochs replace each other."""
        if changes.get("iterations") is not None:
            if changes.get("epochs") is not None:
                raise UsageError("give --iterations or --epochs, not both")
            changes["epochs"] = None
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """All settings as JSON types, for settings.json."""
        return asdict(self)


def flags_of(knob: Field[Any]) -> tuple[str, ...]:
    """The command-line flags of a setting, the one to name first in messages first."""
    return (*knob.metadata["flags"], "--" + knob.name.replace("_", "-"))


def from_dict(values: object, where: str) -> Settings:
    """The inverse of `Settings.as_dict`; DataError, which names the file `where`, for all else."""
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object of settings; was it edited?")
    unknown = sorted(set(values) - {knob.name for knob in fields(Settings)})
    if unknown:
        raise DataError(
            f"{where}: unknown setting {unknown[0][:40]!r}; if a newer mnistgpu wrote it, upgrade"
        )
    try:
        return Settings(**values)
    except UsageError as error:
        raise DataError(f"{where}: {str(error)[:300]}; was it edited?") from None


def _refuse_wrong_type(knob: Field[Any], value: object) -> None:
    """A dataclass takes any type; refuse what its annotation does not name (int is a float)."""
    names = str(knob.type).split(" | ")
    allowed: dict[str, tuple[type, ...]] = {
        "int": (int,),
        "float": (float, int),
        "str": (str,),
        "bool": (bool,),
        "None": (type(None),),
    }
    types = tuple(t for name in names for t in allowed[name])
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"{flags_of(knob)[0]} must be {' or '.join(names)}, not {value!r}")
