"""Every setting of a run, once: the Python argument, the flag, its help and what is saved.

A run is a function of its settings and its data. `Settings()` is the tutorial's network, trained by
gradient descent as in the tutorial, but for 2000 iterations at alpha 0.25 instead of 500 at 0.1.
The names of activations, optimisers, schedules and initialisations are those of the tables in
`network.py` and `maths/`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from mnistgpu import contradictions
from mnistgpu.data import weighting
from mnistgpu.data.naming import ORIENTATIONS
from mnistgpu.errors import DataError, UsageError, did_you_mean
from mnistgpu.knobs import COUNT_OR_SHARE, Check, check_value, number, one_of, setting, whole
from mnistgpu.maths import exact
from mnistgpu.maths.activations import ACTIVATIONS
from mnistgpu.maths.augment import Deformation
from mnistgpu.maths.optimizers import MOMENTUM, OPTIMIZERS, SCHEDULES
from mnistgpu.network import INITIALIZATIONS

# The type of the parameters: tf32 and bf16 are roundings of float32 in matrix products alone.
# exact is float64 in which no sum of a step is rounded (docs/exact.md).
PRECISIONS = {
    "float32": "float32",
    "float64": "float64",
    "tf32": "float32",
    "bf16": "float32",
    "exact": "float64",
}
LENGTHS = ("iterations", "epochs")  # the settings of which one says how long a run is
Made = TypeVar("Made")


def taking_other_forms(kind: type[Made]) -> type[Made]:
    """The settings class, whose `Settings(...)` also takes other names and types of a setting.

    alpha or lr stands for learning_rate, as the flags do; layers may be sizes, such as
    (784, 10, 10), and numbers may be NumPy's.
    """
    made: Callable[..., None] = kind.__init__

    @functools.wraps(made)
    def init(self: Made, *values: Any, **given: Any) -> None:
        names = [knob.name for knob in fields(Settings)]
        in_order = [plain(name, value) for name, value in zip(names, values, strict=False)]
        made(self, *in_order, *values[len(names) :], **renamed(given))

    kind.__init__ = init  # type: ignore
    return kind


def renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their own names, with plain values; UsageError for a name that is none."""
    names = {knob.name for knob in fields(Settings)}
    result: dict[str, Any] = {}
    for name, value in given.items():
        own = name if name in names else other_names().get(name)
        if own is None:
            hint = did_you_mean(name, {*names, *other_names()}, "_")
            raise UsageError(f"there is no setting {name!r}{hint}")
        if own in result:
            raise UsageError(f"{own} is given twice, once as {name}; give it once")
        result[own] = plain(own, value)
    return result


def is_setting(name: str) -> bool:
    """Whether this is the name of a setting, its own or another one such as alpha."""
    return name in {knob.name for knob in fields(Settings)} or name in other_names()


def other_names() -> dict[str, str]:
    """Names from flags, such as alpha, and the settings that they stand for."""
    return {
        flag.removeprefix("--").replace("-", "_"): knob.name
        for knob in fields(Settings)
        for flag in knob.metadata["flags"]
    }


def plain(name: str, value: Any) -> Any:
    """The value of a setting as it is kept: layers as text, a number of NumPy as one of Python."""
    if name in ("unlabeled", "teacher"):
        return value  # `fit` takes arrays, or a network, under this name
    if hasattr(value, "tolist"):
        value = value.tolist()
    if name == "class_weight":
        return weighting.as_text(value)
    if name == "validation" and isinstance(value, float) and value.is_integer():
        return int(value)  # a flag has one type
    if name != "layers" or isinstance(value, str):
        return value
    return "-".join(map(str, value)) if isinstance(value, (tuple, list, range)) else str(value)


@taking_other_forms
@dataclass(frozen=True)
class Settings:
    """How to train. Frozen and checked when made; `changed` makes a changed copy.

    `Settings(layers=(784, 64, 10), alpha=0.1)` means the same as
    `Settings(layers="784-64-10", learning_rate=0.1)`.
    """

    layers: str = setting(
        "784-10-10", "Number of units in each layer, from the pixels to the classes."
    )
    activation: str = setting(
        "relu", "Activation of the hidden layers: {names}.", one_of(ACTIVATIONS)
    )
    init: str = setting(
        "uniform",
        "First weights: {names}. uniform is on [-0.5, 0.5); he and glorot are normal and scaled to "
        "the layer sizes.",
        one_of(INITIALIZATIONS),
    )
    batch_norm: bool = setting(False, "Batch normalisation of the hidden layers.")

    iterations: int | None = setting(
        2000, "Number of training steps (or give --epochs).", whole(1, 10**12)
    )
    epochs: int | None = setting(
        None, "Passes through the training images, instead of --iterations.", whole(1, 10**9)
    )
    batch_size: int | None = setting(
        None,
        "Images per step; without it every step uses all training images (full batch).",
        whole(1),
    )
    validation: float | int = setting(
        1000,
        "Training images held out for validation, drawn by the seed: a number, or a share such as "
        "0.1; if it is not given, the recipe's number, but at most a tenth of them.",
        COUNT_OR_SHARE,
    )
    test_share: float = setting(
        0.0,
        "Share of the images kept for a test that the data lack, the same whatever the seed.",
        number(0, 1),
    )
    seed: int = setting(
        0,
        "Seed of all random numbers: first weights, held-out images, batches, noise, deformations.",
        whole(0, 2**63),
    )
    precision: str = setting(
        "float32",
        "Number type: {names}. tf32 and bf16 need a GPU and round matrix products alone; exact "
        "gives the same bits on every machine.",
        one_of(PRECISIONS),
    )

    graph: bool = setting(
        False,
        "On a GPU: capture a training step as a CUDA graph and replay it (not yet tested on one).",
    )

    optimizer: str = setting(
        "gradient-descent",
        "Update rule: {names}. adam with --weight-decay is AdamW. One that is not the recipe's has "
        "its customary learning rate if no --alpha is given.",
        one_of(OPTIMIZERS),
    )
    learning_rate: float = setting(
        0.25,
        "Learning rate (alpha): the highest that the schedule reaches.",
        number(0, open_low=True),
        ("--alpha", "--lr"),
    )
    momentum: float = setting(
        MOMENTUM,
        "Share of the velocity that each step keeps, of the optimisers momentum and nesterov.",
        number(0, 1),
    )
    schedule: str = setting(
        "constant", "Schedule of the learning rate: {names}.", one_of(SCHEDULES)
    )
    warmup: float = setting(
        0.0,
        "Share of the steps, at the start, over which the learning rate rises to its highest.",
        number(0, 1),
    )
    weight_decay: float = setting(
        0.0,
        "Share of each weight, times the learning rate, that is subtracted at each step.",
        number(0),
    )
    l2: float = setting(
        0.0,
        "Penalty l2/2 * sum of squared weights, in the gradient but not in the loss shown.",
        number(0),
    )
    clip_norm: float | None = setting(
        None, "Gradient clipping: the largest norm of a gradient.", number(0, open_low=True)
    )
    max_norm: float | None = setting(
        None, "Largest norm of the weights into one unit.", number(0, open_low=True)
    )
    ema: float | None = setting(
        None,
        "Predict with an exponential moving average of the weights, with this decay per step.",
        number(0, 1),
    )
    early_stopping: int | None = setting(
        None,
        "Stop after this many epochs (full batch: iterations) without a better validation "
        "accuracy; it is measured for each row of history.csv.",
        whole(1),
    )

    class_weight: str = setting(
        weighting.NONE,
        "How much the images of each class count: none (alike), balanced (rare classes more, so "
        "that all classes count alike), or weights such as 0:1,7:2.5 (1 for classes not named).",
        Check(
            weighting.is_class_weight,
            "none, balanced, or positive weights by class such as 0:1,7:2.5",
        ),
    )
    label_smoothing: float = setting(
        0.0, "Share of the target probability that is spread over all classes.", number(0, 1)
    )
    input_noise: float = setting(
        0.0, "Standard deviation of normal noise on the pixels (ink is 1).", number(0)
    )
    hidden_noise: float = setting(
        0.0, "Standard deviation of normal noise on the pre-activations of hidden units.", number(0)
    )
    input_dropout: float = setting(
        0.0, "Dropout: share of the pixels set to 0 at each step.", number(0, 1)
    )
    hidden_dropout: float = setting(
        0.0, "Dropout: share of the hidden units set to 0 at each step.", number(0, 1)
    )
    adversarial: float = setting(
        0.0,
        "Virtual adversarial loss: train so that a change of this length to an image (ink is 1) "
        "hardly moves the answers.",
        number(0),
    )
    denoising: float = setting(
        0.0,
        "Denoising: weight of the cost of a decoder that takes the noise of --input-noise away; "
        "needs --batch-norm.",
        number(0),
    )
    consistency: float = setting(
        0.0,
        "Consistency: weight of a loss for the same answer to a deformed image; needs --deform.",
        number(0),
    )
    information: float = setting(
        0.0,
        "Mutual information: weight of a loss that makes answers sure, and the classes about "
        "equally frequent.",
        number(0),
    )
    unlabeled: str | None = setting(
        None,
        "Images without labels, as --data takes them, to learn from by --consistency, --denoising, "
        "--adversarial or --information.",
    )
    center: bool = setting(False, "Subtract the mean training image from every image.")
    min_ink: float = setting(
        0.0,
        "Leave out pixels that have ink in no more than this share of the training images.",
        number(0, 1),
    )

    rotation: float = setting(0.0, "Rotate each image by up to this many degrees.", number(0, 180))
    rotation_1_7: float | None = setting(
        None, "Rotate the digits 1 and 7 by up to this many degrees instead.", number(0, 180)
    )
    scaling: float = setting(0.0, "Stretch or shrink each axis by up to this share.", number(0, 1))
    shear: float = setting(
        0.0, "Slant each image by up to this many columns per row.", number(0, 2)
    )
    shift: float = setting(
        0.0, "Shift each image by up to this many pixels along each axis.", number(0, 28)
    )
    mirror: float = setting(
        0.0, "Share of the deformations that mirror as well: left becomes right.", number(0, 1)
    )
    elastic: float = setting(
        0.0,
        "Elastic distortion: displace pixels by up to this many pixels (root mean square).",
        number(0, 28),
    )
    elastic_sigma: float = setting(
        4.0,
        "Smoothness of the elastic distortion: deviation of its Gaussian filter, in pixels.",
        number(0, 28, open_low=True),
    )
    images_per_map: int = setting(32, "Images that share one random deformation.", whole(1))
    clean_ending: float = setting(
        0.0, "Share of the steps, at the end, without deformations.", number(0, 1)
    )

    from_run: str | None = setting(
        None,
        "Begin with the trained network of a run directory or model file instead of first weights; "
        "its settings hold where no other are given, and other classes get a new last layer.",
        flags=("--from",),
    )
    freeze: int = setting(0, "With --from: keep so many of its first layers.", whole(0, 100))
    teacher: str | None = setting(
        None, "Learn the answers of this trained network or committee in place of the labels."
    )

    orientation: str = setting(
        "by-name",
        "How files of --data store images: {names}. by-name turns those of EMNIST upright.",
        one_of(ORIENTATIONS),
    )

    def __post_init__(self) -> None:
        for knob in fields(self):
            check_value(knob, getattr(self, knob.name))
        if self.epochs is not None:  # given, while iterations has a default
            object.__setattr__(self, "iterations", None)
        elif self.iterations is None:
            raise UsageError("give --iterations or --epochs")
        _ = self.sizes
        contradictions.check(self)

    @property
    def dtype(self) -> str:
        """The type of the parameters, float32 or float64."""
        return PRECISIONS[self.precision]

    @property
    def is_exact(self) -> bool:
        """Whether the run has the same bits whatever computes it."""
        return self.precision == "exact"

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
        changes = renamed(changes)
        if changes.get("iterations") is not None:
            if changes.get("epochs") is not None:
                raise UsageError("give --iterations or --epochs, not both")
            changes["epochs"] = None
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """All settings as JSON types, for settings.json; with the version of exact arithmetic."""
        return asdict(self) | ({"exact_version": exact.VERSION} if self.is_exact else {})


def from_dict(values: object, where: str) -> Settings:
    """The inverse of `Settings.as_dict`; a DataError that names the file `where` if it fails."""
    if not isinstance(values, dict):
        raise DataError(f"{where}: expected an object of settings; was it edited?")
    values = dict(values)
    version = values.pop("exact_version", None)
    if values.get("precision") == "exact" and version != exact.VERSION:
        raise DataError(
            f"{where}: was trained in version {str(version)[:20]} of exact arithmetic, which has "
            f"other bits than version {exact.VERSION} of this mnistgpu; use the mnistgpu that "
            "wrote it, or train anew"
        )
    unknown = sorted(set(values) - {knob.name for knob in fields(Settings)})
    if unknown:
        raise DataError(
            f"{where}: unknown setting {unknown[0][:40]!r}; if a newer mnistgpu wrote it, upgrade"
        )
    try:
        return Settings(**values)
    except UsageError as error:
        raise DataError(f"{where}: {str(error)[:300]}; was it edited?") from None
